"""What is shown: templates, scripts, words in two languages, Markdown as trees."""
