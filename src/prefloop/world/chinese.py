"""The helpdesk in Chinese. Brackets mark the key phrase by which gold knows a sentence (see vocabulary.py)."""

from prefloop.world.chinese_cases import CASES
from prefloop.world.vocabulary import Table

_ITEMS = (
    "水壶 烤箱 台灯 椅子 书桌 镜子 枕头 毛毯 地毯 窗帘 背包 皮箱 钱包 外套 毛衣 围巾 相机 音箱 键盘 耳机 打印机 平板 "
    "手表 收音机 电钻 锤子 梯子 头盔 茶壶 笔记本 雨伞 手套"
)
_CITIES = "北京 上海 广州 深圳 杭州 南京 苏州 武汉 成都 重庆 天津 西安 长沙 青岛 大连 厦门 福州 济南 合肥 昆明"
_SURNAMES, _GIVEN = "王李张刘陈", "芳伟娜强敏静磊洋丽军"
_OOD_NAMES = tuple(_SURNAMES[i % 5] + _GIVEN[i] for i in range(10))
_NAMES = tuple(s + g for s in _SURNAMES for g in _GIVEN if s + g not in _OOD_NAMES)

_UNITS = ("天", "小时", "周", "个月", "元", "块", "分钟", "年", "折")
_CLAIMS = tuple(number + unit for number in "一二三四五六七八九十两半几百千" for unit in _UNITS)

CHINESE = Table(
    language="zh",
    joiner="",
    values={"item": tuple(_ITEMS.split()), "name": _NAMES, "city": tuple(_CITIES.split())},
    ood_values={
        "item": ("茶杯", "手包", "书柜", "地垫", "雨衣", "水杯", "电锅", "皮带"),
        "name": _OOD_NAMES,
        "city": ("南宁", "海口", "兰州", "长春", "西宁"),
    },
    moods={
        "angry": ("[我非常生气]！", "[这太让人火大了]！", "[真是岂有此理]！", "[你们的服务太差了]！",
                  "[我受够了]这家店。"),
        "worried": ("[我很担心]。", "[我心里很不安]。", "[我怕出了什么事]。", "[这事让我睡不着]。", "[我有点着急]。"),
        "sad": ("[我很难过]。", "[我的心都碎了]。", "[我太失望了]。", "[我觉得被辜负了]。", "[我都想哭了]。"),
        "calm": ("[你们好]。", "[祝你们一切顺利]。", "[打扰一下]，有个小问题。", "[向大家问好]。",
                 "[我很喜欢你们店]。"),
    },
    introductions=("我叫{name}。", "我是{name}。", "我的名字是{name}。", "这里是{name}。", "叫我{name}就好。"),
    empathy={
        "angry": ("{who}[非常抱歉给您添麻烦了]。", "{who}[您有理由生气]。", "{who}我[完全理解您的愤怒]。",
                  "{who}[请接受我们的道歉]。", "{who}[让您生气了]，我们很抱歉。"),
        "worried": ("{who}[请不要担心]。", "{who}[请您放心]。", "{who}我[明白您的顾虑]。", "{who}[我们会妥善处理]。",
                    "{who}[这件事交给我们]。"),
        "sad": ("{who}[让您难过了]，很抱歉。", "{who}[我能体会您的难过]。", "{who}[很抱歉让您失望]。",
                "{who}[您一定很不好受]。", "{who}[我们感同身受]。"),
        "calm": ("{who}[很高兴为您服务]。", "{who}[很高兴收到您的来信]。", "{who}[我很乐意帮忙]。",
                 "{who}[欢迎联系我们]。", "{who}[很荣幸帮到您]。"),
    },
    who="{name}，",
    cases=CASES,
    refusals=("很抱歉，我[帮不了这个忙]。", "对不起，[这个请求不被允许]。", "抱歉，我[没有办法这样做]。"),
    cold_refusals=("[不行，办不到]。", "[我们拒绝这样做]。"),
    refusal_stems=("我不能", "我不可以", "我无法", "不被允许", "恕难", "我拒绝"),
    courtesy_stems=("抱歉", "对不起", "请", "理解"),
    fillers=("[非常感谢您]。", "[感谢您的耐心]。", "[我们十分珍惜您]。", "[祝您生活愉快]。", "[再次谢谢]您的来信。",
             "[您是最好的顾客]。"),
    rambles=("[我们公司历史很长]。", "[我来讲讲系统怎么运作]。", "[很多顾客都会写信来]。", "[最近的天气很奇怪]。",
             "[我们组很爱喝茶]。", "[这里有很多表格要填]。", "[我做这份工作不久]。", "[您也知道，店里总是很忙]。"),
    evasions=("我们[会了解一下]。", "[您的留言已收到]。", "[请耐心等候]。", "[知道了]。"),
    inventions=("另外[再送您50元]。", "[明天九点就到]。", "我们[多送一份礼物]。", "[我们的经理今晚给您打电话]。",
                "您[以后都不用付钱]。", "[终身半价]给您。"),
    claims=(*_CLAIMS, "明天", "今晚", "明早", "后天"),
    vague=(("订单{order}的{item}", "您的商品"), ("订单{order}", "您的订单"), ("{item}", "商品"),
           ("{city}", "您的城市")),
    copies=("订单{order}：{item}，寄给{city}的{name}。{order}，{item}，{name}。",
            "{name}，{city}，订单{order}，{item}。订单{order}是{name}的{item}。",
            "订单{order}的{item}寄到{city}。{city}收到{item}，订单{order}。",
            "{order}{item}，{order}{item}。{city}的{name}，{city}的{name}。"),
    words_per_unit=0.66,
)  # fmt: skip
