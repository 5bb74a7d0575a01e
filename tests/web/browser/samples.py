"""Comparisons as people meet them: short, long, English, Chinese, code, several turns, right to left."""

from typing import Any

from web.browser.stand import comparison

GUIDELINE = {
    "en": """# What makes a response better

Judge as the customer would, after reading **all** of both responses.

1. **Right** comes first: a polite mistake is still a mistake.
2. Then **helpful**: it says what to do next.
3. Then **kind**. Short is better than long if nothing is missing.

## Both bad
Choose *both bad* if you would send neither.

> When the guideline does not decide it, choose what you would rather receive, and leave a comment.
""",
    "zh": """# 什么样的回答更好

把两个回答都**读完**，站在顾客的立场判断。

1. **正确**最重要：客气的错误仍然是错误。
2. 其次是**有用**：告诉顾客下一步怎么做。
3. 再次是**友善**。不缺内容时，短的更好。

## 都不好
如果两个都不会发给顾客，就选“都不好”。

> 准则没有说到的，选你更愿意收到的那个，并写下评论。
""",
}
HELP = (
    "I am sorry that it is not there. Let us find it together:\n\n"
    "1. Please look at the *safe place* on the delivery note, and ask your neighbours.\n"
    "2. If it is nowhere, reply with the **order number**; I open an enquiry with the carrier today.\n"
    "3. If they do not find it within 5 days, you get your money back or a new one, whichever you like.\n\n"
    "You can follow the enquiry under `Orders > Enquiries`."
)
SHORT = (
    "It says delivered, so it was delivered. Please check again with your household. "
    "There is nothing further that I can do from here."
)
CODE = """Use a dictionary:

```python
def count(words):
    times = {}
    for word in words:
        times[word] = times.get(word, 0) + 1
    return times
```

It takes one pass."""
SECOND = "`collections.Counter` does it:\n\n```python\nfrom collections import Counter\n\ncount = Counter(words)\n```"
LONG = "\n\n".join(
    f"**Step {n}.** Open the settings, choose *Returns*, and print the label for parcel {n}. Put it on the box so that "
    "the old code is covered, and hand it to the driver or to any shop with our sign. Keep the receipt until the money "
    "has arrived."
    for n in range(1, 13)
)
THREAD = [
    ("user", "Hello, I ordered the blue kettle last week."),
    ("assistant", "Thank you for writing! What can I do for you about the kettle?"),
    ("user", "It came in red. Also the lid does not close."),
    ("assistant", "That is two things wrong with one kettle; I am sorry. Would you like a new one or your money back?"),
    ("user", "A new one, but **blue**, and I fly on Friday. Can you manage?"),
]
ENGLISH: list[dict[str, Any]] = [
    comparison("en-1", [("user", "My parcel says **delivered**, but it is not here. What now?")], [HELP, SHORT]),
    comparison("en-2", THREAD, [
        "Yes: the blue one leaves today by express and is with you on Thursday. Keep the red one, unpacked.",
        "We will do our best to send a kettle soon. Delivery usually takes 5 to 9 working days.",
        "Certainly! Kettles are wonderful. Did you know that the first electric kettle was sold in 1893?",
        "Yes, by Thursday. Please send the red one back first, at your cost, and then we see.",
    ]),
    comparison("en-3", [("user", "How do I count words in Python?")], [CODE, SECOND]),
    comparison("en-4", [("user", "How do I send things back?")],
               [LONG, "Print the label in *Returns* and give the box to the driver."]),
]  # fmt: skip
CHINESE: list[dict[str, Any]] = [
    comparison("zh-1", [("user", "物流显示**已签收**，可是我没收到，怎么办？")], [
        "很抱歉让您着急了，我们一起来找：\n\n1. 请先看看签收单上的*代收点*，也问一下邻居。\n2. "
        "如果都没有，请回复**订单号**，我今天就向快递公司查询。\n"
        "3. 五天内仍未找到，可以退款或补发，由您决定。\n\n查询进度在“`我的订单 > 查询`”里可以看到。",
        "系统显示已签收，那就是签收了。请再问问家里人，我这边没有别的办法。",
    ]),
    comparison("zh-2", [
        ("user", "你好，我上周订了蓝色水壶。"), ("assistant", "感谢来信！请问水壶有什么问题？"),
        ("user", "寄来的是红色的，盖子也盖不上。周五我要出远门，来得及换吗？"),
    ], [
        "来得及：蓝色的今天加急寄出，周四送到。红色的交给快递员即可，不用包装。",
        "我们会尽快寄出水壶，一般需要 5 到 9 个工作日。",
        "当然！水壶是很棒的发明，您知道第一个电水壶是 1893 年卖出的吗？",
        "周四可以到。请先自费寄回红色的，然后再说。",
    ]),
]  # fmt: skip
EMPTY = comparison(
    "rtl",
    [("user", "متى يصل طردي رقم 12؟")],
    ["يصل طردك يوم **الخميس** قبل الظهر. يمكنك متابعته هنا: `Orders > 12`.", ""],
)
