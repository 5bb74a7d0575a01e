"""TRL's trainers, each on the tokens that `peers.py` wrote, run by the Python of an environment that has TRL."""

import json
import tempfile
from pathlib import Path
from typing import Any

Spec = dict[str, Any]
DIRECT = ("dpo", "dpo-cached", "kto")
GROUPED = ("grpo", "rloo", "grpo-256")
GROUP, EPOCHS, DRIFT = 8, 2, 0.05
"""Responses to a prompt, updates on each step's responses, and what drift costs, of both sides' grouped trainers."""


def theirs(spec: Spec, clock: Any) -> None:
    """One of TRL's trainers, on the tokens that ours reads; `clock.step()` is told of each step after that."""
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback

    each = EPOCHS if spec["job"] in GROUPED else 1

    class Told(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % each == 0:
                clock.step()

    rows = json.loads(Path(spec["folder"], "tokens.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(spec["model"])
    settings: Spec = {
        "output_dir": tempfile.mkdtemp(dir=spec["folder"]), "bf16": spec["bf16"], "use_cpu": True, "report_to": "none",
        "learning_rate": 1e-5, "save_strategy": "no", "disable_tqdm": True, "gradient_checkpointing": False,
        "dataloader_pin_memory": False, "max_grad_norm": 1.0,
    }  # fmt: skip
    more: Spec = {"processing_class": tokenizer, "callbacks": [Told()], "peft_config": lora(spec)}
    if spec["job"].startswith("ppo"):
        _their_ppo(spec, rows, settings, more)
        return
    if spec["job"] in GROUPED:
        _their_groups(spec, rows, settings, more)
        return
    if spec["job"] in DIRECT:
        settings |= {"precompute_ref_log_probs": spec["job"] == "dpo-cached", "beta": 0.1, "max_length": None}
        settings |= {"max_steps": spec["all_steps"], "per_device_train_batch_size": spec["rows"]}
        _their_direct(spec, rows, settings, more)
        return
    settings |= {"max_steps": spec["all_steps"], "per_device_train_batch_size": spec["rows"]}
    if spec["job"].startswith("sft"):
        from trl import SFTConfig, SFTTrainer

        data = [{"input_ids": p + r, "completion_mask": [0] * len(p) + [1] * len(r)} for p, r in rows]
        config = SFTConfig(**settings, max_length=1024, completion_only_loss=True)
        SFTTrainer(_loaded(spec), config, train_dataset=Dataset.from_list(data), **more).train()
    else:
        from trl import RewardConfig, RewardTrainer

        data = [{"chosen_ids": chosen, "rejected_ids": rejected} for chosen, rejected in rows]
        config = RewardConfig(**settings, max_length=None)
        RewardTrainer(_loaded(spec, scores=True), config, train_dataset=Dataset.from_list(data), **more).train()


def _their_direct(spec: Spec, rows: list[dict[str, Any]], settings: Spec, more: Spec) -> None:
    """DPO or KTO of rows that are tokens already, as their collators take them."""
    from datasets import Dataset

    if spec["job"] == "kto":
        from trl import KTOConfig as Config
        from trl import KTOTrainer as Trainer
    else:
        from trl import DPOConfig as Config
        from trl import DPOTrainer as Trainer

    class Tokenised(Trainer):
        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    Tokenised(_loaded(spec), args=Config(**settings), train_dataset=Dataset.from_list(rows), **more).train()


def _their_ppo(spec: Spec, rows: list[list[int]], settings: Spec, more: Spec) -> None:
    from datasets import Dataset
    from peft import get_peft_model
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    value_model = _loaded(spec, scores=True)
    if more["peft_config"] is not None:
        value_model = get_peft_model(value_model, lora(spec, "SEQ_CLS"))
    config = PPOConfig(
        **settings,
        per_device_train_batch_size=spec["rows"],
        num_mini_batches=1,
        num_ppo_epochs=4,
        response_length=48,
        local_rollout_forward_batch_size=spec["rows"],
        stop_token="eos",
        num_sample_generations=0,
        temperature=1.0,
        total_episodes=spec["rows"] * (spec["all_steps"]),
    )
    tokenizer = more.pop("processing_class")
    tokenizer.padding_side = "left"
    PPOTrainer(
        config,
        tokenizer,
        _loaded(spec),
        None if more["peft_config"] else _loaded(spec),
        _loaded(spec, scores=True),
        Dataset.from_list([{"input_ids": row} for row in rows]),
        value_model,
        **more,
    ).train()


def _their_groups(spec: Spec, rows: list[list[dict[str, str]]], settings: Spec, more: Spec) -> None:
    """GRPO or RLOO; prompts are messages, for their reward model reads text."""
    from datasets import Dataset
    from transformers import AutoTokenizer

    if spec["job"].startswith("grpo"):
        from trl import GRPOConfig as Config
        from trl import GRPOTrainer as Trainer
    else:
        from trl import RLOOConfig as Config
        from trl import RLOOTrainer as Trainer
    own: Spec = {
        "max_steps": EPOCHS * spec["all_steps"], "per_device_train_batch_size": spec["rows"], "num_generations": GROUP,
        "num_iterations": EPOCHS, "beta": DRIFT, "max_completion_length": 48, "temperature": 1.0,
    }  # fmt: skip
    Trainer(
        _loaded(spec),
        _loaded({**spec, "model": spec["scorer"]}, scores=True),
        Config(**settings, **own),
        train_dataset=Dataset.from_list([{"prompt": row} for row in rows]),
        reward_processing_classes=AutoTokenizer.from_pretrained(spec["scorer"]),
        **more,
    ).train()


def lora(spec: Spec, task: str = "CAUSAL_LM") -> Any:
    """The adapters that ours trains by default: rank 16 on every linear layer; None for full weights."""
    if spec["adapter"] != "lora":
        return None
    from peft import LoraConfig

    kind = "SEQ_CLS" if spec["job"].startswith("reward") or spec["job"] == "rankings" else task
    head = ["score"] if kind == "SEQ_CLS" else None
    return LoraConfig(
        r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type=kind, modules_to_save=head
    )


def _loaded(spec: Spec, *, scores: bool = False) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    if not scores:
        return AutoModelForCausalLM.from_pretrained(spec["model"], dtype=torch.float32)
    model = AutoModelForSequenceClassification.from_pretrained(spec["model"], num_labels=1, dtype=torch.float32)
    model.config.pad_token_id = model.config.pad_token_id or 0
    return model
