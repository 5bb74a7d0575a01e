"""Families of models, tiny: docs/models.md lists them. Windows, caps, scales and jitter are set so as to matter."""

from typing import Any

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": None,
    "initializer_range": 0.3,
}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "bos_token_id": None, "initializer_range": 0.3}
EIGHT = {**SMALL, "head_dim": 8}
EXPERTS = {**SMALL, "num_local_experts": 4, "num_experts_per_tok": 2}
MANY = {**EIGHT, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
WIDTHS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
BOTH_HALVES = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
}
MIXED = ["sliding_attention", "full_attention"]
DEEPSEEK = {
    "num_key_value_heads": 4,
    "moe_intermediate_size": 16,
    "n_routed_experts": 4,
    "n_group": 1,
    "topk_group": 1,
    "num_experts_per_tok": 2,
    "first_k_dense_replace": 1,
    "kv_lora_rank": 8,
    "q_lora_rank": 8,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 4,
    "v_head_dim": 8,
}
SEEN = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 32, "image_size": 8}

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama": ("LlamaConfig", SMALL),
    "Mistral": ("MistralConfig", {**SMALL, "sliding_window": 4}),
    "Mixtral": ("MixtralConfig", {**EXPERTS, "router_jitter_noise": 0.5}),
    "Qwen2": ("Qwen2Config", {**SMALL, "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}),
    "Qwen2-MoE": ("Qwen2MoeConfig", {**MANY, "shared_expert_intermediate_size": 16}),
    "Qwen3": ("Qwen3Config", EIGHT),
    "Qwen3-MoE": ("Qwen3MoeConfig", MANY),
    "Qwen3-Next": ("Qwen3NextConfig", {**MANY, "linear_num_key_heads": 2, "linear_num_value_heads": 4}),
    "Gemma 1": ("GemmaConfig", EIGHT),
    "Gemma 2": (
        "Gemma2Config",
        {**EIGHT, "sliding_window": 4, "attn_logit_softcapping": 1.5, "final_logit_softcapping": 4.0},
    ),
    "Gemma 3 (text)": ("Gemma3TextConfig", {**EIGHT, "sliding_window": 4, "layer_types": MIXED}),
    "Gemma 3 (with pictures)": (
        "Gemma3Config",
        {
            "text_config": {**EIGHT, "sliding_window": 4, "layer_types": MIXED},
            "vision_config": {**SEEN, "patch_size": 4},
        },
    ),
    "Phi-1, Phi-2": ("PhiConfig", SMALL),
    "Phi-3, Phi-4": ("Phi3Config", {**SMALL, "sliding_window": 4}),
    "Phi-3.5-MoE": ("PhimoeConfig", {**EXPERTS, "router_jitter_noise": 0.5, "input_jitter_noise": 0.5}),
    "GPT-2": ("GPT2Config", {**GPT, "resid_pdrop": 0.5, "embd_pdrop": 0.5, "attn_pdrop": 0.5}),
    "GPT-BigCode": ("GPTBigCodeConfig", GPT),
    "GPT-NeoX, Pythia": ("GPTNeoXConfig", {**SMALL, "hidden_dropout": 0.5}),
    "GPT-OSS": ("GptOssConfig", {**EIGHT, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 4}),
    "OLMo": ("OlmoConfig", SMALL),
    "OLMo-2": ("Olmo2Config", SMALL),
    "OLMo-3": ("Olmo3Config", {**SMALL, "sliding_window": 4, "layer_types": MIXED}),
    "OLMoE": ("OlmoeConfig", {**SMALL, "num_experts": 4, "num_experts_per_tok": 2}),
    "SmolLM3": ("SmolLM3Config", {**SMALL, "no_rope_layers": [1, 0]}),
    "OPT": ("OPTConfig", {**SMALL, "ffn_dim": 48, "word_embed_proj_dim": 16, "dropout": 0.5, "layerdrop": 0.5}),
    "Cohere": ("CohereConfig", {**SMALL, "logit_scale": 0.5}),
    "Cohere 2": ("Cohere2Config", {**SMALL, "logit_scale": 0.5, "sliding_window": 4, "layer_types": MIXED}),
    "Granite": (
        "GraniteConfig",
        {**SMALL, "logits_scaling": 4.0, "embedding_multiplier": 2.0, "attention_multiplier": 0.3},
    ),
    "Granite-MoE": ("GraniteMoeConfig", {**EXPERTS, "logits_scaling": 4.0}),
    "SeedOss": ("SeedOssConfig", {**EIGHT, "residual_dropout": 0.5, "attention_dropout": 0.5}),
    "StarCoder 2": ("Starcoder2Config", {**SMALL, "sliding_window": 4}),
    "GLM": ("GlmConfig", EIGHT),
    "GLM-4": ("Glm4Config", EIGHT),
    "DeepSeek-V3": ("DeepseekV3Config", {**SMALL, **DEEPSEEK}),
    "EXAONE 4": ("Exaone4Config", {**SMALL, "sliding_window": 4, "layer_types": MIXED}),
    "HunYuan": ("HunYuanDenseV1Config", EIGHT),
    "Ernie 4.5": ("Ernie4_5Config", EIGHT),
    "Nemotron": ("NemotronConfig", SMALL),
    "Llama 4 (text)": ("Llama4TextConfig", {**EIGHT, "num_local_experts": 2, "attention_chunk_size": 4}),
    "Falcon (rotary)": ("FalconConfig", {**WIDTHS, "alibi": False}),
    "Falcon (ALiBi)": ("FalconConfig", {**WIDTHS, "alibi": True}),
    "BLOOM": ("BloomConfig", {"hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "MPT": ("MptConfig", {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 64}),
    "GPT-J": ("GPTJConfig", {**GPT, "rotary_dim": 8}),
    "StableLM": ("StableLmConfig", SMALL),
    "LFM2": ("Lfm2Config", {**SMALL, "layer_types": ["conv", "full_attention"]}),
    "Mamba": ("MambaConfig", {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}),
    "Jamba": ("JambaConfig", {**SMALL, "num_experts": 2, "attn_layer_period": 2, "attn_layer_offset": 1}),
    "RWKV": ("RwkvConfig", {"hidden_size": 32, "num_hidden_layers": 2}),
    "BERT": ("BertConfig", SMALL),
    "RoBERTa": ("RobertaConfig", SMALL),
    "ModernBERT": ("ModernBertConfig", SMALL),
    "T5": ("T5Config", {"d_model": 32, "d_ff": 48, "num_layers": 2, "num_heads": 4, "d_kv": 8}),
    "BART": ("BartConfig", BOTH_HALVES),
    "LLaVA": (
        "LlavaConfig",
        {"text_config": {**SMALL, "model_type": "llama"}, "vision_config": {**SEEN, "patch_size": 4}},
    ),
    "ViT": ("ViTConfig", {**SEEN, "patch_size": 4}),
}
"""What a family is called -> its configuration in transformers, and its tiny sizes."""
