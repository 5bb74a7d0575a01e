"""What chat itself says at the prompt, in the languages of the report and the page."""

from typing import Literal

Language = Literal["en", "zh"]
WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "and": " and ",
        "begin": "talking to {names}; /reset forgets, /quit or Ctrl-D ends, Ctrl-C stops an answer.",
        "alone": " Each turn stands alone (memory=off).",
        "forgotten": "forgotten",
        "unknown": "there is no command {command}; there are /reset and /quit",
        "end": "/quit or Ctrl-D ends",
        "long": "the conversation outgrew its context of {context} tokens; the oldest {num} turns are forgotten.",
        "silent": "said nothing; this turn is not remembered.",
        "open": "did not come to an end; it was stopped, or max_new_tokens={limit} or its context was used up.",
    },
    "zh": {
        "and": "和",
        "begin": "正在与{names}对话；/reset 忘掉对话，/quit 或 Ctrl-D 结束，Ctrl-C 停止当前回答。",
        "alone": "每一轮都是独立的（memory=off）。",
        "forgotten": "已忘掉",
        "unknown": "没有命令 {command}；可用的有 /reset 和 /quit",
        "end": "输入 /quit 或按 Ctrl-D 结束",
        "long": "对话超出了 {context} 个词元的上下文；最早的 {num} 轮已忘掉。",
        "silent": "没有回答；这一轮不会被记住。",
        "open": "没有自己结束：被停止了，或用完了 max_new_tokens={limit} 或上下文。",
    },
}
