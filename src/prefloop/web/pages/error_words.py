"""What the page says instead of the server's English sentence, by the code of the error, in English and Chinese.

`{why}` is the server's own sentence, where only that tells which field or which name it is about. A code that is not
here is told in the server's words.
"""

CAUSES: dict[str, tuple[str, str]] = {
    "missing": ("is missing", "缺失"),
    "too_short": ("is too short or has too few; at least {limit}", "过短或过少，至少 {limit}"),
    "too_long": ("is too long or has too many; at most {limit}", "过长或过多，最多 {limit}"),
    "not_a_number": ("is not a number of this kind", "不是有效的数字"),
    "too_small": ("is too small; at least {limit}", "过小，不得小于 {limit}"),
    "too_big": ("is too large; at most {limit}", "过大，不得大于 {limit}"),
    "above": ("is too small; more than {limit}", "过小，须大于 {limit}"),
    "below": ("is too large; less than {limit}", "过大，须小于 {limit}"),
    "unknown_choice": ("is none of the choices", "不在可选范围内"),
    "unknown_field": ("is not known here", "不是已知的字段"),
    "says": ("{name} `{field}` {says}", "{name}`{field}`：{says}"),
}
"""What is wrong with a field."""
TYPES: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("string_too_short", "too_short"), ("too_short", "min_length")),
    **dict.fromkeys(("string_too_long", "too_long"), ("too_long", "max_length")),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), ("not_a_number", "")),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), ("not_a_number", "")),
    "less_than_equal": ("too_big", "le"), "greater_than_equal": ("too_small", "ge"), "less_than": ("below", "lt"),
    "greater_than": ("above", "gt"), "literal_error": ("unknown_choice", ""), "enum": ("unknown_choice", ""),
    "missing": ("missing", ""), "extra_forbidden": ("unknown_field", ""),
}  # fmt: skip
"""Type of pydantic's error -> (cause, which value of its context is the limit)."""
FIELDS: dict[str, tuple[str, str]] = {
    "name": ("name", "名称"), "password": ("password", "密码"), "role": ("role", "角色"), "tags": ("tags", "标签"),
    "uses": ("number of uses", "可用次数"), "days": ("days", "天数"), "scopes": ("scopes", "权限范围"),
    "url": ("address", "地址"), "kinds": ("kinds", "类型"), "kind": ("kind", "类型"), "text": ("text", "文本"),
    "note": ("note", "备注"), "comment": ("comment", "评论"), "reason": ("reason", "原因"),
    "answer": ("answer", "答案"), "draft": ("draft", "草稿"), "model": ("model", "模型"), "file": ("file", "文件"),
    "comparison": ("comparison", "对比"), "responses": ("responses", "回答"),
    "expected": ("expected answer", "预期答案"), "explanation": ("explanation", "解释"),
    "purpose": ("purpose", "用途"), "number": ("number", "数量"), "count": ("count", "数量"),
    "limit": ("limit", "上限"), "body": ("text", "正文"), "wanted": ("judgements wanted", "所需评判数"),
    "num": ("number", "数量"), "seed": ("seed", "随机种子"), "choice": ("choice", "选择"),
    "strength": ("strength", "强度"), "language": ("language", "语言"),
}  # fmt: skip
"""Fields that people fill in; another is called as programs call it."""

REFUSALS: dict[str, tuple[str, str]] = {
    # who asks
    "signed_out": ("You are not signed in. Sign in and try again; nothing is lost.",
        "你尚未登录。请登录后重试，内容不会丢失。"),
    "other_user": ("Somebody else signed in in this browser. Sign in again and try again; nothing is lost.",
        "此浏览器中有其他人登录了。请重新登录后重试，内容不会丢失。"),
    "bad_token": ("This token is not known, or was revoked. Ask for a new one.", "令牌无效或已吊销，请索取新的令牌。"),
    "wrong_scope": ("This token may not do that. Make one that may.", "该令牌没有此权限，请创建有权限的令牌。"),
    "wrong_role": ("Your role does not allow this. Ask a lead or an admin.",
        "你的角色没有此权限，请联系负责人或管理员。"),
    "wrong": ("The name or the password is wrong.", "用户名或密码不对。"),
    "throttled": ("Too many attempts. Wait a quarter of an hour and try again.", "尝试次数过多，请等一刻钟再试。"),
    "no_invitation": ("This invitation is not valid any more. Ask for a new link.", "这个邀请已失效，请索取新的链接。"),
    "name_taken": ("Somebody already has this name. Choose another.", "这个名字已有人使用，请换一个。"),
    "weak_password": ("The password is too short or too long; a sentence is a good one.",
        "密码过短或过长，一句话就很好。"),
    "last_admin": ("This is the last admin. Make somebody else one first.", "这是最后一位管理员，请先指定另一位。"),
    # what is asked
    "invalid": ("Not valid: {why}", "内容无效：{why}"),
    "shares": ("The shares together are 100 %, and at least 20 % of it are random: else nothing could be said of what "
        "was not chosen.",
        "份额合计须为 100%，其中随机至少 20%，否则无法对未选中的题目做出估计。"),
    "nobody_judged": ("Nobody has judged this item yet; say what the answer is.", "该题尚无人评判，请给出答案。"),
    "people_differ": ("People differ about this item; say what the answer is.", "对该题意见不一，请给出答案。"),
    "not_found": ("There is no such thing any more, or it is not yours.", "内容已不存在，或不属于你。"),
    "bad_request": ("What was sent could not be understood. Load the page anew.", "无法理解收到的内容，请刷新页面。"),
    "bad_length": ("What was sent says a wrong length. Load the page anew.", "内容长度有误，请刷新页面。"),
    "not_json": ("What was sent is of the wrong type. Load the page anew.", "内容类型有误，请刷新页面。"),
    "not_a_form": ("What was sent is no form. Go back and try again.", "收到的不是表单，请返回重试。"),
    "wrong_method": ("This address takes no such request. Load the page anew.", "该地址不支持此请求，请刷新页面。"),
    "refused": ("The server refused it: {why}", "服务器拒绝了请求：{why}"),
    "forbidden": ("This is not allowed. Ask a lead or an admin.", "没有权限，请联系负责人或管理员。"),
    "too_large": ("This is larger than the server takes. Send less at a time.", "内容超过服务器上限，请分批发送。"),
    "cross_site": ("This was sent by another site. Open the page itself and do it there.",
        "请求来自其他网站，请直接打开本页面操作。"),
    "wrong_host": ("The page is not called so here. Open it by the address that was printed when it was started.",
        "页面不使用这个域名，请用启动时显示的地址打开。"),
    # work
    "answered": ("This was already judged. To change it, revise your judgement.",
        "这个条目已评判，如需更改请修改之前的评判。"),
    "revised": ("This judgement was already revised. Revise the newest one in your history.",
        "这次评判已修改过，请在历史中修改最新版本。"),
    "calibration": ("A practice item is answered once, and a round is taken again when it is over.",
        "练习条目只能回答一次，一轮结束后才能重做。"),
    "taken": (
        "This item is answered already, or somebody else has it open. Load the page anew to see what was decided.",
        "此题已有答案，或正由他人处理。请重新加载页面查看裁决。"),
    "id_taken": ("This was already sent with another answer, which is kept. Revise that one.",
        "已保存过另一个答案，请修改那一个。"),
    # chat
    "no_chat": ("There is no chat here for you. Ask the lead if there should be.",
        "这里没有可用的对话，如有需要请联系负责人。"),
    "chat_waits": ("Your last message is still being answered. Wait for it.", "上一条消息还在回答中，请稍候。"),
    "chat_moved": (
        "This conversation went on in another place meanwhile. It is shown as it is now; what you wrote is kept.",
        "这段对话已在别处继续，现在显示的是最新内容；你写的文字还在。"),
    "not_judged": ("Judge the two responses first; the conversation goes on with the better one.",
        "请先评判两个回答，对话沿着更好的一个继续。"),
    "chat_too_long": ("The conversation is longer than the model can read. Say it shorter, or begin another.",
        "对话超出模型能读的长度。请写短一些，或开始新的对话。"),
    "chat_calibration": ("Pass the practice round first; it comes when you judge.", "请先通过练习，在“评判”页面开始。"),
    "model_down": ("The model cannot be reached just now. What you wrote is kept; try again in a moment.",
        "暂时连不上模型。你写的文字还在，请稍后重试。"),
    "model_slow": ("The model took too long. What you wrote is kept; try again in a moment.",
        "模型回答超时。你写的文字还在，请稍后重试。"),
    "model_busy": ("The model has too much to do just now. What you wrote is kept; try again in a moment.",
        "模型正忙。你写的文字还在，请稍后重试。"),
    "model_broken": (
        "The model's server does not answer as it should. What you wrote is kept; tell whoever leads this project.",
        "模型服务器的回答有误。你写的文字还在，请告知项目负责人。"),
    "model_silent": ("The model said nothing. What you wrote is kept; say it in other words, or try again.",
        "模型没有说话。你写的文字还在，请换个说法或重试。"),
    # what leads do
    "guideline_moved": ("Somebody saved a newer version of the guideline meanwhile.", "期间有人保存了更新的准则版本。"),
    "bad_url": ("This is not an address of http or https; write https://host/path.",
        "不是有效的 http 或 https 地址，请写成 https://host/path。"),
    "unknown_host": ("No server of this name is known. Check how it is written.", "找不到该名称的服务器，请检查拼写。"),
    "inside_host": ("This address is inside the network, which webhooks may not call here. Allow it below first.",
        "该地址在内网，Webhook 不得访问。请先在下方允许。"),
    "unknown_event": ("There are no such events: {why}", "没有这种事件：{why}"),
    # the server itself
    "locked": ("Another program holds the database. Nothing is lost; try again in a moment.",
        "数据库被其他程序占用。内容不会丢失，请稍后重试。"),
    "disk_full": ("The server's disk is full. Nothing is lost; tell the lead.",
        "服务器磁盘已满。内容不会丢失，请告知负责人。"),
    "read_only": ("The server cannot write its database. Nothing is lost; tell the lead.",
        "服务器无法写入数据库。内容不会丢失，请告知负责人。"),
    "no_database": ("The server cannot open its database. Tell the lead.", "服务器无法打开数据库，请告知负责人。"),
    "damaged": ("The server's database is damaged. Tell the lead.", "服务器的数据库已损坏，请告知负责人。"),
    "database": ("The server's database does not answer. Nothing is lost; try again in a moment.",
        "数据库没有响应。内容不会丢失，请稍后重试。"),
    "broken": ("Something is broken on the server. Nothing that was saved is lost.",
        "服务器出了问题，已保存的内容不会丢失。"),
    # told by the page itself
    "network": ("The server cannot be reached. Try again in a moment.", "无法连接服务器，请稍后重试。"),
    "no_answer": ("The answer {status} is not from this page's server. Try again in a moment.",
        "返回的 {status} 并非来自本页服务器，请稍后重试。"),
}  # fmt: skip
