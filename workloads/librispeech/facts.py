"""Facts that both LibriSpeech workloads share; sources are in this folder's README.md."""

from typing import Any

from algoperf.spec import LossType

VOCAB_SIZE = 1024

# Maskings of log-mel features in training, after Park et al. 2019, https://arxiv.org/abs/1904.08779.
SPEC_AUGMENT: dict[str, Any] = {
    "use_specaug": True,
    "freq_mask_count": 2,
    "freq_mask_max_bins": 27,  # A mask has fewer bins than this.
    "time_mask_count": 10,
    "time_mask_max_ratio": 0.05,  # Longest time mask over the number of frames of the utterance.
}

DATA: dict[str, Any] = {
    "max_audio_samples": 320_000,  # 20 s at 16 kHz; longer utterances are dropped, shorter ones padded.
    "max_target_length": 256,  # In tokens, EOS included.
    "max_transcript_chars": 256,  # Utterances with a longer transcript are dropped.
}

COMMON: dict[str, Any] = {
    "dataset": "librispeech",
    "target_metric_name": "wer",
    "higher_is_better": False,
    "loss_type": LossType.CTC_LOSS,
    "num_train_examples": 263_840,
    "num_eval_train_examples": 5_376,
    "num_validation_examples": 5_348,
    "num_test_examples": 2_472,
    "eval_batch_size": 256,
    "eval_period_time_sec": 1_440,
    "default_batch_size": 256,
    "default_dropout_rate": 0.1,
    "output_params": {"jax": ("Dense_0",), "pytorch": ("lin.weight", "lin.bias")},
    "data": DATA,
}

MINI_VOCAB_SIZE = 64

MINI_DATA: dict[str, Any] = {"max_audio_samples": 40_000, "max_target_length": 40}

MINI_COUNTS: dict[str, Any] = {
    "num_train_examples": 2_000,
    "num_eval_train_examples": 128,
    "num_validation_examples": 128,
    "num_test_examples": 128,
    "eval_batch_size": 64,
}


def targets(validation_wer: float, test_wer: float | None = None) -> dict[str, Any]:
    """Word error rates to reach; with one number, for both splits."""
    return {
        "validation_target_value": validation_wer,
        "test_target_value": validation_wer if test_wer is None else test_wer,
    }
