"""Planted mistakes, each of which some test must notice: prints those that survive.

    python benchmarks/mutants.py [PART OF A NAME ...]

A mutant is one exact replacement in one file of `src/prefloop`. It is planted in a copy of the checkout, and the tests
named with it run there until the first of them fails. What survives shows a law that no test watches.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Mutant:
    """One planted mistake."""

    name: str
    file: str
    """inside src/prefloop"""
    old: str
    """stands exactly once in the file"""
    new: str
    tests: str
    """files or folders inside tests/, in the order in which they run"""


def planted(file: str, tests: str, *rows: tuple[str, str, str]) -> list[Mutant]:
    """Mutants of one file; each row is (name, old, new)."""
    return [Mutant(f"{file}: {name}", file, old, new, tests) for name, old, new in rows]


MUTANTS = [
    *planted(
        "ops/losses.py", "ops/test_losses.py",
        ("maximum for minimum", "torch.minimum(ratio * advantages", "torch.maximum(ratio * advantages"),
        ("no upper clip", "ratio.clamp(1 - clip, 1 + clip)", "ratio.clamp(min=1 - clip)"),
        ("ratio upside down", "ratio = (logprobs - old_logprobs).exp()", "ratio = (old_logprobs - logprobs).exp()"),
        ("clipped wherever it is outside", "((ratio > 1 + clip) & (advantages > 0))", "(ratio > 1 + clip)"),
        ("value clipped wherever it is outside", "(moved.abs() > clip) & ", "(moved.abs() > clip) | "),
        ("value clipped around the new value", "old_values + (values - old_values)", "values + (values - old_values)"),
        ("smaller error of the two", "0.5 * torch.maximum(", "0.5 * torch.minimum("),
        ("REINFORCE's sign", "return -advantages * logprobs", "return advantages * logprobs"),
    ),
    *planted(
        "ops/preferences.py", "ops/test_preferences.py ops/test_rankings.py",
        ("margin added", "gap = gap - margin", "gap = gap + margin"),
        ("an interval without its width", "functional.logsigmoid(gap - lower) - between", "functional.logsigmoid(gap - lower)"),
        ("ranking from the worst", "best_first.flip(-1).logcumsumexp(-1).flip(-1)", "best_first.logcumsumexp(-1)"),
        ("share of the other", "-share * functional.logsigmoid(gap)", "-share * functional.logsigmoid(-gap)"),
        ("robust by the wrong share", "(flip_rate * wrong - (1 - flip_rate) * right)", "((1 - flip_rate) * wrong - flip_rate * right)"),
        ("robust without its scale", "* right) / (1 - 2 * flip_rate)", "* right)"),
        ("flips that never happen", "wrong + math.log(flip_rate)", "wrong + math.log1p(-flip_rate)"),
        ("hinge the wrong way", "functional.relu(margin - gap)", "functional.relu(margin + gap)"),
        ("a threshold that ties do not have", "torch.where(tie, threshold, math.inf)", "torch.where(tie, 2 * threshold, math.inf)"),
        ("a loss is a win", "torch.where(outcome < 0, -gap, gap)", "torch.where(outcome < 0, gap, gap)"),
        ("whole odds beside a tie", "torch.stack([gap / 2, tie, -gap / 2], -1)", "torch.stack([gap, tie, -gap], -1)"),
        ("the place counts", "return (first - second) / 2", "return (first + second) / 2"),
        ("without a rank is best", "torch.where(mask & ~ranks.isnan(), ranks, math.inf)", "torch.where(mask & ~ranks.isnan(), ranks, -math.inf)"),
        ("padding is drawn", "torch.where(mask, scores, _NEVER).gather", "scores.gather"),
        ("the last place is drawn", "told = ordered < last", "told = ordered <= last"),
        ("padding loses", " & mask.unsqueeze(-2)", ""),
        ("the divisors exchanged", 'if divisor == "pairs" else', 'if divisor == "all" else'),
        ("one level too high", "torch.cat([-outside, edges])[levels], torch.cat([edges, outside])[levels]", "torch.cat([edges, outside])[levels], torch.cat([edges, outside])[levels] + 1"),
        ("thumbs down are up", "torch.where(good, scores, -scores)", "torch.where(good, -scores, scores)"),
    ),
    *planted(
        "ops/advantages.py", "ops/test_advantages.py align/test_reinforce.py",
        ("decay without discount", "surprise + discount * decay * next_advantage", "surprise + decay * next_advantage"),
        ("no bootstrap", "rewards[:, t] + discount * next_value - values[:, t]", "rewards[:, t] - values[:, t]"),
        ("padding takes a step", "next_value = torch.where(mask[:, t], values[:, t], next_value)", "next_value = values[:, t]"),
        ("returns are advantages", "return advantages, advantages + values", "return advantages, advantages"),
        ("whitening by variance", "torch.rsqrt(variance + 1e-8)", "1 / (variance + 1e-8)"),
        ("whitening never shifts", "scaled if shift_mean else scaled + mean", "scaled + mean"),
        ("a response earns its last reward", "masked_sum(rewards, mask, dim=1)", "rewards[:, -1]"),
    ),
    *planted(
        "ops/kl.py", "ops/test_kl.py",
        ("k3 mirrored", "torch.expm1(-difference) + difference", "torch.expm1(difference) - difference"),
        ("k2 without its half", "0.5 * difference.square()", "difference.square()"),
        ("full KL under the reference", "probabilities = logprobs.exp()", "probabilities = ref_logprobs.exp()"),
        ("no cut of the error", "min(max(kl / target - 1.0, -0.2), 0.2)", "kl / target - 1.0"),
        ("steered the wrong way", "coef * (1.0 + error", "coef * (1.0 - error"),
    ),
    *planted(
        "ops/rewards.py", "ops/test_rewards.py",
        ("KL is a bonus", "torch.where(is_last, scores.unsqueeze(-1), 0.0) - charges", "torch.where(is_last, scores.unsqueeze(-1), 0.0) + charges"),
        ("score at the last column", "== last_index(mask).unsqueeze(-1)", "== mask.shape[-1] - 1"),
        ("scaled before shifted", "return (raw - mean) / std", "return raw / std - mean"),
    ),
    *planted(
        "ops/logprobs.py", "ops/test_logprobs.py",
        ("temperature forgotten", "logits if temperature == 1 else logits / temperature", "logits"),
        ("entropy of one sign", "return -(logprobs.exp()", "return (logprobs.exp()"),
        ("rounded to the logits' precision", "logits.to(torch.promote_types(logits.dtype, torch.float32))", "logits"),
    ),
    *planted(
        "ops/vocabulary.py", "ops/test_vocabulary.py",
        ("temperature forgotten", "self.scale = head.factor / (head.cap or temperature)", "self.scale = head.factor / (head.cap or 1)"),
        ("a cap without its slope", "slopes *= self.height - logits.square() / self.height", "slopes *= self.height"),
        ("the token drawn is not pushed", "shares.scatter_add_(1, tokens, -total)", "shares.scatter_add_(1, tokens, 0 * total)"),
        ("entropy's slope without entropy", "(slopes + ctx.entropies[part, None])", "(slopes + 0)"),
        ("added rows count", "            all_shares[rows:] = 0\n", ""),
        ("only the last slice of the matrix", "sums.weight[some] += narrow.T @ states", "sums.weight[some] = narrow.T @ states"),
        ("all logits at once", "step = max(1, _room(CHUNK, device) // (4 * size * ROWS)) * ROWS", "step = max(num, 1)"),
    ),
    *planted(
        "ops/reduce.py", "ops/test_reduce.py",
        ("NaN times 0", "chosen = torch.where(mask, x, 0)", "chosen = x * mask"),
        ("divided by all", "masked_sum(x, mask, dim=dim) / _count(mask, dim)", "masked_sum(x, mask, dim=dim) / (mask.numel() if dim is None else mask.shape[dim])"),
    ),
    *planted(
        "align/ppo.py", "align/test_ppo.py align/test_both.py",
        ("another's critic is a copy of the policy", "policy.with_critic(other)", "policy.with_critic(separate=True)"),
        ("the critic is not in the card", ', "critic": _critic_folder(config)}', "}"),
        ("the coefficient never changes in the rewards", "_rewards(config, rollouts, scores, before, kl_coef=at.kl_coef)", "_rewards(config, rollouts, scores, before, kl_coef=config.kl_coef)"),
        ("the coefficient never changes in the loss", "limit=limit, kl_coef=at.kl_coef\n", "limit=limit, kl_coef=config.kl_coef\n"),
        ("early-stop KL the other way", "kl_estimate(old, now.logprobs, estimator=\"k3\")", "kl_estimate(now.logprobs, old, estimator=\"k3\")"),
        ("logged KL by k2", '.kl(rollouts.mask, "k1")', '.kl(rollouts.mask, "k2")'),
        ("the schedule follows the updates done", "optimizer.pass_over(plan - at.done)", "optimizer.pass_over(0)"),
        ("the sampler keeps old weights", "                setup.sampler.refresh(policy)\n", ""),
        ("the score lacks the penalty's charge", "unfinished_penalty=config.unfinished_penalty", "unfinished_penalty=0.0"),
        ("KL charged twice, in loss and reward", 'kl = torch.zeros_like(kl)\n    elif', 'kl = kl\n    elif'),
        ("one mean for another", "kl.sum() / rollouts.mask.sum()", "kl.mean()"),
        ("a micro-batch divides by itself", ".sum() / total\n        loss.backward()", ".sum() / len(old)\n        loss.backward()"),
        ("the critic does not learn", '"loss/value": (config.value_coef, ', '"loss/value": (0.0, '),
        ("entropy is punished", '"loss/entropy": (config.entropy_coef, -now.entropy)', '"loss/entropy": (config.entropy_coef, now.entropy)'),
        ("clipped share with the wrong clip", "(now.logprobs, old, advantages, clip=config.clip).float()", "(now.logprobs, old, advantages, clip=config.value_clip).float()"),
        ("never stops early", "at.stopped = max_policy_kl is not None and", "at.stopped = False and"),
        ("returns not decayed", "decay=config.decay", "decay=1.0"),
        ("never whitened", "if config.whiten_advantages:", "if not config.whiten_advantages:"),
        ("resume forgets the batch", "return Progress(**saved[\"at\"], batch=batch)", "return Progress(**saved[\"at\"])"),
        ("resume forgets the optimiser", "    optimizer.restore(saved[\"optimizer\"])\n", ""),
    ),
    *planted(
        "align/online.py", "align/test_online.py align/test_both.py align/test_ppo.py",
        ("every step draws the same numbers", 'seed_of(config.seed, "online.rollouts", step)', 'seed_of(config.seed, "online.rollouts")'),
        ("every step has the same prompts", "range(step * per_step, (step + 1) * per_step)", "range(per_step)"),
        ("every epoch has the same order", '"online.minibatches", step, epoch)', '"online.minibatches", step)'),
        ("sampled at temperature 1", "temperature=config.temperature, max_new", "max_new"),
        ("the reference is the policy", "setup.reference.logprobs(packed", "setup.policy.logprobs(packed"),
        ("read at temperature 1", "now = setup.policy.read(packed, temperature=temperature", "now = setup.policy.read(packed, temperature=1.0"),
        ("finished ones are charged", "(~rollouts.finished).float()", "rollouts.finished.float()"),
        ("root mean square for a deviation", "masked_var(advantages, rollouts.mask).sqrt()", "masked_var(advantages, rollouts.mask).add((advantages * rollouts.mask).sum() / rollouts.mask.sum()).sqrt()"),
        ("steered by nothing", "return coef\n    return adapted_kl_coef(", "return coef\n    return coef or adapted_kl_coef("),
    ),
    *planted(
        "align/reinforce.py", "align/test_reinforce.py align/test_both.py",
        ("the coefficient never changes", "kl_coef=at.kl_coef)", "kl_coef=config.kl_coef)"),
        ("the sampler keeps old weights", "            setup.sampler.refresh(policy)\n", ""),
        ("baseline added", "returns - baseline", "returns + baseline"),
        ("mean over all tokens", "returns[:, 0].mean()", "returns.mean()"),
        ("entropy punished", "(loss - config.entropy_coef * entropy)", "(loss + config.entropy_coef * entropy)"),
        ("no penalty", "unfinished_penalty=config.unfinished_penalty", "unfinished_penalty=0.0"),
        ("credit mixed up", 'if config.credit == "response"', 'if config.credit == "token"'),
        ("the optimiser starts anew", "    optimizer.restore(saved[\"optimizer\"])\n", ""),
    ),
    *planted(
        "text/codec.py", "text",
        ("what the template writes behind the words is not learned", 'words + (self.tail if finished else "")', "words"),
        ("what the template writes before the words is not learned", "texts.append((self.turn.lead + words", "texts.append((words"),
        ("white space is learned that the template drops", "return words if same else response", "return response"),
        ("a response by itself has a space too many", "self._tokens(texts) if not self._before else", "self._tokens(texts) if True else"),
    ),
    *planted(
        "text/markers.py", "text",
        ("typed markers act", "return found.sub(lambda match: self._names[match[0]], text)", "return text"),
        ("the template's markers are letters", "swaps = self._names | self._texts", "swaps = self._texts"),
        ("pieces with logprobs spell markers", "[self._names.get(piece, piece), logprob]", "[piece, logprob]"),
        ("full-width markers act", "return sum(map(self._never.__contains__, ids)) != sum(", "return 0 > sum("),
    ),
    *planted(
        "text/turns.py", "text",
        ("only known ends are taken", "here[0] in stops or here[0] in final", "here[0] in stops"),
        ("the next turn's marker ends this one", "if here and (here[0] in stops or here[0] in final):", "if here:"),
    ),
    *planted(
        "text/templates.py", "text",
        ("a BOS twice", 'if needs_bos and "bos_token" not in wanted', "if needs_bos"),
        ("no BOS", "tokenizer.chat_template = BOS + wanted if", "tokenizer.chat_template = wanted if"),
    ),
    *planted(
        "models/network.py", "models/test_network.py models/test_stream.py sampling scoring",
        ("dropout on in train mode", "return super().train(False)", "return super().train(mode)"),
        ("logits rounded", "return head(hidden.to(dtype)).float()", "return head(hidden.bfloat16().to(dtype)).float()"),
        ("values of the token itself", "hidden = self._before(self.critic.trunk or self.pretrained.base_model, packed)", "hidden = self._states(self.critic.trunk or self.pretrained.base_model, packed.stream).index_select(0, packed.index + 1)"),
        ("a shared separate critic", "copy.deepcopy(source.pretrained.base_model) if apart", "source.pretrained.base_model if apart"),
        ("the reference shares weights", "Network(copy.deepcopy(self.model), self.codec", "Network(self.model, self.codec"),
        ("added tokens are kept", "out.last_hidden_state[0, :num]", "out.last_hidden_state[0]"),
        ("precision forgotten", "with self.placement.precision(), recomputed(", "with recomputed("),
        ("scores rounded", "return self._in_float32(head, hidden.index_select(0, last)), hidden", "return head(hidden.index_select(0, last)).float(), hidden"),
        ("hooks are passed by in decoding", "return self(self._next_states, tokens, positions, cache)", "return self._next_states(tokens, positions, cache)"),
        ("hooks are passed by in scoring", "return self(self._table_and_states, stream, stream.ends)", "return self._table_and_states(stream, stream.ends)"),
        ("hooks are passed by", "return self(self._read, packed, temperature, entropy)", "return self._read(packed, temperature, entropy)"),
    ),
    *planted(
        "models/adapters.py", "models/test_adapters.py align/test_roles.py export",
        ("what was worn is worn on", "self._worn[:] = [] if adapter is None else [adapter]", "self._worn[:] = self._worn or ([] if adapter is None else [adapter])"),
        ("all adapters learn", "tensor.requires_grad_(name in self._trained)", "tensor.requires_grad_(True)"),
        ("copies begin at random", "                weight.copy_(self.tensors[part])", "                pass"),
        ("an adapter at half its scale", "alpha=layer.scaling[worn])", "alpha=layer.scaling[worn] / 2)"),
        ("a new adapter's second matrix is drawn", 'f"{module}.lora_A.weight"]\n        bound', 'f"{module}.lora_B.weight"]\n        bound'),
        ("another base is taken", "folder.fingerprint not in (None, base.fingerprint)", "folder.fingerprint == ''"),
        ("the head is left at zero", 'head.data.copy_(given[f"{HEAD}.weight"])', "pass"),
    ),
    *planted(
        "models/verify.py", "models/test_verify.py",
        ("anything is the same", "TOLERANCE = 1e-4", "TOLERANCE = 1e4"),
        ("NaN passes", "    _check_finite(path, model)\n", ""),
        ("the quick way is not looked at", "if quickly is not None and not _same(", "if quickly is None and not _same("),
        ("windows are not watched", "    _check_windows(path, model, stream.windows)\n", ""),
        ("both ways passes", "if not _same(second[:2], first[:2]):", "if False:"),
        ("checked at low precision from then on", "    network.placement = placement\n    return", "    return"),
    ),
    *planted(
        "models/checkpoint.py", "models/test_load.py",
        ("missing weights pass", 'lacks = {name for name in report["missing_keys"] if name not in shapes}', "lacks = set()"),
        ("weights too many pass", 'extra = {name for name in report["unexpected_keys"] if not _RECOMPUTED.search(name)}', "extra = set()"),
        ("any head is fresh", "    if fresh_head:\n", "    if True:\n"),
    ),
    *planted(
        "models/padding.py", "models/test_padding.py",
        ("padding that ends responses stays", "if isinstance(pad, int) and pad != codec.stop_ids[0] else None", "if isinstance(pad, int) else None"),
        ("an end is taken for padding", "number not in codec.stop_ids and ", ""),
    ),
    *planted(
        "models/attention.py", "models/test_stream.py models/test_shared.py",
        ("written out without scale", "alpha=self.scale,", "alpha=1.0,"),
        ("keys learn without scale", "block, alpha=blocks.scale)", "block)"),
        ("a branch's keys end where its queries do", "if len(bias) == 1 else length", "if True else length"),
        ("a stem is as if it were not there", "plain = window is None and grid.before is None", "plain = window is None"),
    ),
    *planted(
        "models/grids.py", "models/test_stream.py models/test_shared.py",
        ("a window one too wide", "(ago >= 0) & (ago < window)", "(ago >= 0) & (ago <= window)"),
        ("the future is seen", "return ago >= 0 if window is None else (ago >= 0) & (ago < window)", "return ago >= -1 if window is None else (ago < window)"),
        ("a branch sees only what is as far into its stem", "+ (0 if self.before is None else self.before[:, None])", "+ 0"),
        ("a query right of the end meets nothing", "last.clamp(max=length - 1)", "last.clamp(max=2 * length)"),
        ("stems and sequences in one grid", "stemmed in (True, False)", "stemmed in (True,)"),
    ),
    *planted(
        "models/recompute.py", "models/test_recompute.py",
        ("another adapter is worn again", "(contextlib.nullcontext(), again())", "(contextlib.nullcontext(), contextlib.nullcontext())"),
        ("layers stay wrapped", "            del layer.forward  # its class's is seen again", "            pass"),
    ),
    *planted(
        "models/batching.py", "models/test_batching.py",
        ("always computed again", "recompute = free < wanted * bytes_of(False)", "recompute = free < 1e30"),
    ),
    *planted(
        "models/heads.py", "models/test_stream.py models/test_families.py",
        ("a divisor multiplies", '/ float(named.get("logits_scaling") or 1.0)', '* float(named.get("logits_scaling") or 1.0)'),
        ("the cap is forgotten", "return logits if self.cap is None else", "return logits if True else"),
    ),
    *planted(
        "models/stream.py", "models/test_stream.py models/test_shared.py",
        ("a branch begins at 0 again", "if any(stem >= 0 for stem in stems):\n", "if False:\n"),
        ("a branch keeps nothing of its own", "min(len(first), len(second)) - 1", "min(len(first), len(second))"),
        ("most of the neighbours", "shared = min(shared, alike[begin + 1])", "shared = max(shared, alike[begin + 1])"),
        ("positions go on", "(torch.arange(len(starts)) - starts)", "torch.arange(len(starts))"),
        ("the state of the token itself", "+ answer.positions - 1", "+ answer.positions"),
    ),
    *planted(
        "models/optim.py", "models/test_optim.py align/test_ppo.py reward/test_votes.py reward/test_stage.py",
        ("no warm-up", "if done < rising:", "if done < 0:"),
        ("no clip", "clip_grad_norm_(self.parameters, self.settings.max_grad_norm)", "clip_grad_norm_(self.parameters, 1e9)"),
        ("vectors decay", "(0.0, [p for p in main if p.ndim < 2])", "(settings.weight_decay, [p for p in main if p.ndim < 2])"),
        ("groups apart follow the schedule", "[group.lr if group.follows else None for group in apart]", "[group.lr for group in apart]"),
        ("missing bits are dropped", "rest.copy_(bits - (upper.to(torch.int32) << 16))", "rest.zero_()"),
        ("missing bits are not resumed", '            self._halves.restore(state["halves"])\n', "            pass\n"),
        ("gradients in bfloat16 are not clipped", "grad if shortened is None else grad * shortened", "grad"),
        ("resume forgets the moments", '        self._adam.load_state_dict(state["adam"])\n', ""),
    ),
    *planted(
        "models/quantised.py", "models/test_quantised.py",
        ("the scale is forgotten going back", "ctx.layer.scaled(grad) @", "grad @"),
        ("a tied matrix is held", "if uses.count(id(layer.weight)) == 1:", "if True:"),
        ("adapters are held", ' and ".lora_" not in name', ""),
        ("nearest is the one below", "between = (levels[1:] + levels[:-1]) / 2", "between = levels[1:]"),
    ),
    *planted(
        "models/gguf.py", "models/test_gguf.py",
        ("weights without a place are dropped", "                left.append(made.name)\n", "                pass\n"),
        ("an end token is left out", "return [end] if isinstance(end, int) else []", "return []"),
    ),
    *planted(
        "models/cache.py", "models/test_stream.py sampling",
        ("a window one too wide", "min(columns, layer.window)", "min(columns, layer.window + 1)"),
        ("padding is attended to", "> self._own[:, None]", "> self._own.max()"),
        ("rows keep others' lengths", "self._lengths = [self._lengths[row] for row in order]", "self._lengths = self._lengths[: len(order)]"),
        ("a wide batch stays wide", "if tall * wide > most:", "if False:"),
        ("the column stands still", "self._own = self._own + 1", "self._own = self._own + 0"),
        ("a long prompt's beginning stays in a window", "prompts.positions >= (lengths - columns)", "prompts.positions < (columns + 0 * lengths)"),
        ("a part meets too few columns", "max(self._lengths[a : a + PART]) + 1", "max(self._lengths[a : a + PART])"),
        ("a prompt weighs as much as the response", "torch.sigmoid(out_sum - own_sum)", "torch.sigmoid(0 * out_sum)"),
        ("prompts stay with others' rows", "self._prompts = [kept.index(prompt) for prompt in prompts]", "self._prompts = prompts"),
    ),
    *planted(
        "models/decoding.py", "sampling models/test_verify.py",
        ("keys are not rotated", "angled[:num, heads:], made", "made[:num, heads:turned], made"),
        ("an adapter is forgotten", "weight = weight.float() + module.get_delta_weight(name).detach()", "weight = weight.float()"),
        ("DoRA is forgotten", "        made = module(torch.eye", "        made = inner(torch.eye"),
    ),
    *planted(
        "sampling/batch.py", "sampling",
        ("positions stand still", "self._positions = self._positions + 1", "self._positions = self._positions + 0"),
        ("ended rows stay alive", "if by_itself or given_up", "if given_up"),
        ("all rows share their numbers", "self._draws.gather(1, column[:, None])[:, 0]", "self._draws[:1].gather(1, column[:1, None])[:, 0].expand(len(column))"),
        ("what was said is not penalised", "            self._said.scatter_(1, self._new[:, None], True)\n", "            pass\n"),
        ("there is always room", "(rows > self.room.rows or tokens > self.room.tokens)", "False"),
    ),
    *planted(
        "sampling/in_process.py", "sampling",
        ("the place is ignored", "generator = torch.Generator().manual_seed(place)", "generator = torch.Generator().manual_seed(0)"),
    ),
    *planted(
        "sampling/choosing.py", "sampling",
        ("temperature forgotten", "else logits / temperature", "else logits"),
        ("top-k one too many", "logits.topk(sampling.top_k, dim=-1)", "logits.topk(sampling.top_k + 1, dim=-1)"),
        ("the nucleus stops early", "(mass[:, :-1] < top_p).sum", "(mass[:, 1:] < top_p).sum"),
        ("the nucleus is not looked for further", "    if len(short):", "    if False:"),
        ("a logprob after the cut", "total = shares.sum(-1, keepdim=True)", "total = shares.masked_fill(logits < least, 0.0).sum(-1, keepdim=True)"),
    ),
    *planted(
        "evaluate/measure.py", "test_draws.py evaluate/test_measure.py",
        ("every chunk draws the same numbers", '"evaluate.responses", start)', '"evaluate.responses")'),
        ("surprise summed, not per token", "total / len(response)", "total"),
    ),
    *planted(
        "evaluate/stage.py", "evaluate/test_stage.py",
        ("the untouched model may be selected", "if n not in beside}", 'if n != "reference"}'),
    ),
    *planted(
        "collect/judge.py", "collect/test_stage.py",
        ("the lower number wins", '"left" if ahead > 0', '"left" if ahead < 0'),
        ("the margin itself is no tie", "abs(ahead) <= self._config.margin", "abs(ahead) < self._config.margin"),
    ),
    *planted(
        "collect/stage.py", "test_draws.py collect/test_stage.py",
        ("every chunk draws the same numbers", '"collect.responses", index, attempt)', '"collect.responses", attempt)'),
        ("every attempt draws the same numbers", '"collect.responses", index, attempt)', '"collect.responses", index)'),
    ),
    *planted(
        "chat/talk.py", "test_draws.py chat/test_talk.py",
        ("every turn draws the same numbers", '"chat.responses", turn)', '"chat.responses")'),
    ),
    *planted(
        "stats/aggregate.py", "stats/test_aggregate.py",
        ("no prior of the classes", "counts = posteriors.sum(0) + smoothing", "counts = posteriors.sum(0)"),
        ("the prior's term of one class", "smoothing * _log(shares).sum()", "smoothing * _log(shares)[0]"),
        ("the prior's term of two classes", "smoothing * _log(shares).sum()", "smoothing * _log(shares)[:2].sum()"),
        ("the prior's term left out", "likelihood + believed + float", "likelihood + float"),
        ("told and true mixed up", "_log(confusions)[who, :, said]", "_log(confusions)[who, said, :]"),
    ),
    *planted(
        "files/pairs.py", "files",
        ("a worse grade wins", "int(second > first)", "int(second < first)"),
        ("equal thumbs are a tie", "not said.thumbs or graded", "True or graded"),
        ("each pair of a ranking weighs as much", '"weight": 1 / len(kept)', '"weight": 1.0'),
        ("ranks from the worst", "sum(other > grade for other in grades)", "sum(other < grade for other in grades)"),
        ("minorities win", "winner = int(count[1] > count[0])", "winner = int(count[1] < count[0])"),
    ),
    *planted(
        "files/foreign.py", "files",
        ("what is not used is not told", "        say(note)\n", "        pass\n"),
    ),
    *planted(
        "files/verdict_forms.py", "files",
        ("A loses where it won", "won(0 if label == 1 else 1)", "won(1 if label == 1 else 0)"),
        ("a tie is a win", 'None if preference in (0.0, 1.5) else', 'None if preference == 0.0 else'),
    ),
    *planted(
        "files/decoding.py", "files",
        ("the last of two keys counts", "if len(row) < len(pairs):", "if not pairs:"),
    ),
    *planted(
        "reward/stage.py", "reward",
        ("vote edges at the model's rate", "Group(tuple(objective.parameters()), EDGE_LR)", "Group(tuple(objective.parameters()), config.lr)"),
        ("vote edges never learned", "num_updates=len(batches), apart=apart)", "num_updates=len(batches), apart=apart[:-1])"),
        ("weights of pairs forgotten", "weight, told = sum(item.weight for item in told_of)", "weight, told = len(told_of)"),
        ("normalised by chosen responses though there are demonstrations", "if config.demonstrations is not None:", "if config.demonstrations is None:"),
        ("what was counted is forgotten on resume", 'taught = Taught.of(saved["taught"])', "pass"),
    ),
    *planted(
        "reward/items.py", "reward",
        ("pairs that are one are learned from", "or any(sequence != fitted[0] for sequence in fitted[1:])", "or True"),
        ("the better response is the worse one", "row[better] - row[worse]", "row[worse] - row[better]"),
        ("a tie is told apart", "if self.ranks[i] < self.ranks[j]", "if self.ranks[i] <= self.ranks[j]"),
    ),
    *planted(
        "reward/objectives.py", "reward",
        ("margin the other way", "return scores[:, 0] - scores[:, 1]", "return scores[:, 1] - scores[:, 0]"),
        ("the decision upside down", "bradley_terry_loss(scores[:, 0], scores[:, 1], margin", "bradley_terry_loss(scores[:, 1], scores[:, 0], margin"),
        ("what a ranking is padded with is ranked", "mask = there[rows, columns]", "mask = there[rows, columns] | True"),
        ("a known share forgotten", "torch.where(known, soft_preference_loss", "torch.where(~known, soft_preference_loss"),
        ("the offset of thumbs forgotten", "thumb_loss(scores + self.offset", "thumb_loss(scores"),
        ("scores are held near 0 by their sum", "centring_loss(scores).sum(-1) / num", "centring_loss(scores.sum(-1)) / num"),
    ),
    *planted(
        "scoring/pair_classifier.py", "scoring/test_pair_classifier.py",
        ("the order of the two decides", "few[1] + few[0], context)", "few[0] + few[1], context)"),
        ("prompts share a fit", "groups.setdefault(tuple(prompt), [])", "groups.setdefault((), [])"),
    ),
    *planted(
        "reward/data.py", "reward",
        ("ties are validated with", "[not _decided(row) for row in rows]", "[False for row in rows]"),
        ("pairs of a prompt are torn apart", "first[group].argsort(", "keys.argsort("),
        ("held-out prompts are learned from", "rows.only(~held), rows.only(held)", "rows, rows.only(held)"),
    ),
    *planted(
        "files/index.py", "files/test_index.py",
        ("a row of several records gives its first", "[before])", "[0])"),
        ("a changed file is read on", "!= self._stamp:\n                    raise", "!= self._stamp and False:\n                    raise"),
    ),
    *planted(
        "reward/votes.py", "reward/test_votes.py",
        ("a tie is a win", "return 1, _MINUS_FIRST, _FIRST", "return 1, _NOTHING, _FIRST"),
        ("slight and clear mixed up", "(_FIRST, _SECOND, _THIRD)[vote.strength - 1]", "(_SECOND, _FIRST, _THIRD)[vote.strength - 1]"),
        ("rejected votes count for the chosen", 'else -1, low, _INF', 'else 1, low, _INF'),
    ),
    *planted(
        "reward/annotators.py", "reward/test_annotators.py",
        ("the left is disliked", "margins[rows] + first * side", "margins[rows] - first * side"),
        ("abilities set the scale", "torch.cat([self.log_abilities - self.log_abilities.mean(), none])", "torch.cat([self.log_abilities, none])"),
        ("every row carries the whole prior", "self.prior() / self.num_rows", "self.prior()"),
    ),
    *planted(
        "scoring/reward_model.py", "scoring score",
        ("scores in the order of length", "raw[batch] = table.cpu()", "raw[sorted(batch)] = table.cpu()"),
        ("not normalised", "normalised_scores(one, mean=of.mean, std=of.std)", "one"),
    ),
    *planted(
        "ops/rewards.py", "ops/test_rewards.py scoring/test_ensemble.py",
        ("the variance of a sample", "ascending.var(-1, correction=0)", "ascending.var(-1)"),
        ("disagreement is rewarded", "mean = mean - variance_coef", "mean = mean + variance_coef"),
    ),
    *planted(
        "scoring/composite.py", "scoring/test_composite.py align/test_both.py",
        ("a multiplier falls while its constraint is broken", "multiplier - rate * margin", "multiplier + rate * margin"),
        ("a constraint without its level", "parts[name] + multiplier * (said.scores - level)", "parts[name] + multiplier * said.scores"),
        ("what is charged is limited too", "said.limited is None or weight < 0", "said.limited is None"),
        ("unusual only if it is so to all", ".amax(0) if outliers", ".amin(0) if outliers"),
    ),
    *planted(
        "scoring/outliers.py", "scoring/test_outliers.py",
        ("those that are usual abstain", "torch.where(unusual, instead - said.scores, 0.0)", "torch.where(~unusual, instead - said.scores, 0.0)"),
        ("the mean of unusual ones too", "usual = said.scores[~unusual] if", "usual = said.scores if"),
        ("limited from below", "scores.clamp(max=", "scores.clamp(min="),
        ("a column is limited by all of them", "self.columns.get(column or \"\", self.reached)", "self.reached"),
    ),
    *planted(
        "scoring/ensemble.py", "scoring/test_ensemble.py",
        ("the members' shares are not calibrated", "outlier=self.known.share(unusual)", "outlier=unusual.float()"),
    ),
    *planted(
        "score/stage.py", "score/test_stage.py",
        ("the last batch is scored again", "config.batch * done.count, None)", "config.batch * max(0, done.count - 1), None)"),
        ("equal scores lose", "0.5 if c == r else float(c > r)", "float(c > r)"),
    ),
    *planted(
        "sweep/stage.py", "sweep/test_sweep.py",
        ("the worst of K", ".argmax(1)", ".argmin(1)"),
        ("the weight is never varied", "{**weights, vary: weight}", "{**weights}"),
    ),
    *planted(
        "evaluate/reward_file.py", "evaluate/test_reward_file.py",
        ("an ensemble's scores are log-odds", "judge.std if isinstance(judge, READERS) else 1.0", "judge.std if isinstance(judge, RewardModel) else 1.0"),
        ("pairs of a batch meet", "if _compares(judge) else [asked]", "if False else [asked]"),
    ),
    *planted(
        "health/probes.py", "health/test_probes.py",
        ("a pair without a decision has a margin", "[row for row in rows if row.decided]", "[*rows]"),
        ("words are named by chance", "_Mean.of(values, together).away()", "_Mean.of(values).away()"),
        ("what length does stays in", "one.shifts - _by_length(name, one, tried)", "one.shifts"),
    ),
    *planted(
        "health/bench.py", "health/test_bench.py",
        ("the easier of the twins", "np.minimum(several, [away", "np.maximum(several, [away"),
        ("the first of equal ones wins", "sum(i < self.num_right for i in best) / len(best)", "float(best[0] < self.num_right)"),
    ),
    *planted(
        "health/position.py", "health/test_position.py",
        ("left and right exchanged", '(vote.side == "chosen") == vote.first', '(vote.side == "chosen") != vote.first'),
    ),
    *planted(
        "health/gate.py", "health/test_shown.py",
        ("a refusal is said and passes", "if not anyway:", "if anyway and not anyway:"),
    ),
    *planted(
        "stats/noise.py", "stats/test_noise.py",
        ("agreement for a ceiling", "float((1 + np.sqrt(clear)) / 2)", "float((1 + clear) / 2)"),
        ("half of the cycles", "1 - 2 * cyclic)", "1 - cyclic)"),
    ),
    *planted(
        "stats/calibration.py", "stats/test_calibration.py",
        ("a temperature is tried where it was fitted", "fitted_temperature(x[~inside], o[~inside])", "fitted_temperature(x, o)"),
    ),
    *planted(
        "stats/bag.py", "stats/test_bag.py",
        ("words of the held-out texts are counted", "inverse_frequency(self.counted[known])", "inverse_frequency(self.counted)"),
    ),
    *planted(
        "stats/duplicates.py", "stats/test_duplicates.py",
        ("one rare pair of words too few", "- 1e-9) + 1", "- 1e-9)"),
    ),
    *planted(
        "stats/intervals.py", "stats/test_intervals.py",
        ("as if all values were independent", "deff = max(1.0, clustered_error(x, labels) ** 2 / (variance / (n - 1)))", "deff = 1.0"),
    ),
    *planted(
        "reward/ensemble.py", "reward/test_ensemble.py",
        ("the first member's lists stand for all", "isinstance(value, tuple)", "isinstance(value, list)"),
    ),
]  # fmt: skip


def copied(place: Path) -> Path:
    """The checkout as it is now, without the page."""
    for name in ("src", "tests", "benchmarks"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__", "web"))
    shutil.copy(ROOT / "pyproject.toml", place)
    return place


def survives(mutant: Mutant, checkout: Path) -> bool:
    """Plants a mutant in a copy and runs its tests. Returns: True if they all pass."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "copy"
        shutil.copytree(checkout, place)
        file = place / "src" / "prefloop" / mutant.file
        file.write_text(mutated(mutant), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider"]
        tests = [f"tests/{name}" for name in mutant.tests.split()]
        environment = {**os.environ, "PYTHONPATH": str(place / "src"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [*command, *tests], cwd=place, env=environment, capture_output=True, text=True, check=False
        )
    if done.returncode not in (0, 1):
        raise RuntimeError(
            f"{mutant.name}: pytest ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return done.returncode == 0


def mutated(mutant: Mutant) -> str:
    """The file with the mistake in it. Raises: ValueError if what it replaces does not stand there exactly once."""
    text = (ROOT / "src" / "prefloop" / mutant.file).read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise ValueError(
            f"{mutant.name}: {mutant.old!r} stands {text.count(mutant.old)} times in {mutant.file}, not once"
        )
    return text.replace(mutant.old, mutant.new)


def main() -> None:
    """Runs those whose name holds one of the arguments, or all."""
    chosen = [m for m in MUTANTS if not sys.argv[1:] or any(part in m.name for part in sys.argv[1:])]
    for mutant in chosen:
        mutated(mutant)  # all of them, before the first minute is spent
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        checkout = copied(Path(folder))
        outcomes = list(pool.map(lambda mutant: survives(mutant, checkout), chosen))
    survivors = [mutant.name for mutant, alive in zip(chosen, outcomes, strict=True) if alive]
    print(
        f"| planted | noticed | survived |\n|---|---|---|\n| {len(chosen)} | {len(chosen) - len(survivors)} | {len(survivors)} |"
    )
    for name in survivors:
        print(f"survived: {name}")
    sys.exit(bool(survivors))


if __name__ == "__main__":
    main()
