"""Words of the chat with the policy under test, in English and Chinese."""

CHAT_PAGES: dict[str, tuple[str, str]] = {"nav.chat": ("Chat", "对话"), "chat.title": ("Chat", "对话")}

CHAT_SCRIPTS: dict[str, tuple[str, str]] = {
    "chat.label": ("Chat with the model", "与模型对话"), "chat.first": ("Say something to the model", "对模型说点什么"),
    "chat.first_says": (
        "It answers twice. You say which response is better, and the conversation goes on with that one.",
        "它会给出两个回答。你选出更好的一个，对话就沿着它继续。"),
    "chat.message": ("Your message", "你的消息"),
    "chat.hint": ("Control and Enter sends; Escape leaves the text.", "Control 加 Enter 发送，Escape 离开文本。"),
    "chat.send": ("Send", "发送"), "chat.another": ("Begin another conversation", "开始新的对话"),
    "chat.begun": ("A new conversation. Write the first message.", "新的对话。请写第一条消息。"),
    "chat.ask": ("Write a message first.", "请先写消息。"),
    "chat.asking": ("The model is writing. This may take a minute.", "模型正在回答，可能需要一分钟。"),
    "chat.answered": ("The model has answered. Which response is better?", "模型已回答。哪个回答更好？"),
    "chat.unsent": ("Your judgement is still on its way to the server; this follows it.",
        "你的评判还在发送中，这条消息会随后发出。"),
    "chat.went_on": ("The conversation goes on. Write the next message.", "对话继续。请写下一条消息。"),
    "chat.on.tie": ("Equally good: the conversation goes on with the left one.", "一样好：对话沿着左边的回答继续。"),
    "chat.on.both_bad": ("Both bad: the conversation goes on with the left one all the same.",
        "都不好：对话仍沿着左边的回答继续。"),
    "chat.on.skipped": ("Skipped: the conversation goes on with the left one.", "已跳过：对话沿着左边的回答继续。"),
    "chat.on.same": ("The model said the same each time, so it is shown once and there is nothing to compare.",
        "模型每次的回答都一样，因此只显示一次，无需比较。"),
    "chat.on.empty": ("The one you preferred says nothing, so the conversation goes on with the other.",
        "你选的回答是空的，因此对话沿着另一个继续。"),
    "chat.skip_says": ("Nobody else is asked; the conversation goes on with the left one.",
        "不会再问别人；对话沿着左边的回答继续。"),
}  # fmt: skip
