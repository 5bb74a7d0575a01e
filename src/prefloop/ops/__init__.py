"""Arithmetic: tensors in, tensors out. No settings, no files, no processes.

Shape letters: B responses, T response tokens, N any packed tokens, V vocabulary, K responses per prompt.
A mask is bool, True where a token is real. What stands in a padded place never matters, NaN included.
Logarithms are natural, so KL and entropy are in nats. No coefficient has a default here: it lives in a Config.

    logprobs      how likely a token was           rewards       scores less the charge for drift
    kl            how far the policy has gone      advantages    better than expected
    losses        one number per token             reduce        sums and means under a mask
    preferences   one number per pair, per ranking, per rating
    vocabulary    the same from hidden states, in chunks
    shapes        shapes that must agree, checked by name
"""
