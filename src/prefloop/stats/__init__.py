"""The arithmetic of people's judgements and of results: pure functions and frozen dataclasses on numpy and scipy.

Never torch, no files, no settings, no records. A function checks what it is given and says in its error what it got.

    intervals     how sure a share or a mean is     strengths    who is preferred to whom: pairs, ties, Elo
    calibration   is a probability as right         lists        the same from rankings (Plackett-Luce)
                  as it is sure                     crowd        the same where annotators differ
    text          what a word is, repetition        annotators   what can be said of one annotator
    agreement     how far people agree              sequential   when to stop asking
    aggregate     many judgements, one decision     choosing     what to ask next
    arrays        checks of what comes in           curve        what more labels would bring
    newton        how strengths are fitted          judges       what a judge that is a model is worth
"""
