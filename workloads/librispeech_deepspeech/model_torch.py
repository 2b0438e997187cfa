"""The DeepSpeech model of the LibriSpeech workload in PyTorch.

Shapes: B batch, L samples, T frames (after subsampling), D features, V vocabulary
"""

from collections.abc import Callable

import ml_collections
import torch
from torch import Tensor, nn

from algoperf.layers.torch_dropout import dropout
from algoperf.workload import WorkloadSpec
from workloads.librispeech.interface_torch import call_args, eval_outputs
from workloads.librispeech.layers_torch import BatchNorm, LayerNorm, Linear, SpeechFrontEnd, Subsample
from workloads.librispeech_deepspeech.lstm_torch import BiLSTM

__all__ = ["call_args", "eval_outputs", "make_model"]


def activation(config: ml_collections.FrozenConfigDict) -> Callable[[Tensor], Tensor]:
    return torch.tanh if config.use_tanh else torch.relu


class Normalized(nn.Module):
    """Batch norm `bn` or layer norm `ln` before the layer that a subclass adds.

    `algoperf.param_utils` recognises the types of the parameters by these two names.
    """

    def __init__(self, config: ml_collections.FrozenConfigDict):
        super().__init__()
        if config.layernorm_everywhere:
            self.ln = LayerNorm(config.encoder_dim)
        else:
            # PyTorch's convention: the momentum is the weight of the new batch.
            self.bn = BatchNorm(config.encoder_dim, momentum=1 - config.batch_norm_momentum)
        self.has_batch_norm = not config.layernorm_everywhere

    def normalize(self, x_BTD: Tensor, paddings_BT: Tensor) -> Tensor:
        return self.bn(x_BTD, paddings_BT) if self.has_batch_norm else self.ln(x_BTD)


class BatchRNN(Normalized):
    """A normalised bidirectional LSTM."""

    def __init__(self, config: ml_collections.FrozenConfigDict):
        super().__init__(config)
        # Half of the width in each direction: their concatenation has the width that the residual sum needs.
        self.lstm = BiLSTM(config.encoder_dim, config.encoder_dim // 2)

    def forward(self, x_BTD: Tensor, paddings_BT: Tensor) -> Tensor:
        return self.lstm(self.normalize(x_BTD, paddings_BT), paddings_BT)


class FeedForwardModule(Normalized):
    """A normalised dense layer, 0 on padded frames."""

    def __init__(self, config: ml_collections.FrozenConfigDict):
        super().__init__(config)
        self.lin = Linear(config.encoder_dim, config.encoder_dim)
        self.activation = activation(config)

    def forward(self, x_BTD: Tensor, paddings_BT: Tensor, dropout_rate: float) -> Tensor:
        # The bias would make padded frames non-zero, hence the mask below.
        x_BTD = self.activation(self.lin(self.normalize(x_BTD, paddings_BT)))
        return dropout(x_BTD * (1 - paddings_BT[:, :, None]), dropout_rate, self.training)


class DeepSpeech(nn.Module):
    """Convolutions, bidirectional LSTMs, dense layers; logits of tokens for each 40 ms of speech."""

    def __init__(self, config: ml_collections.FrozenConfigDict):
        super().__init__()
        self.enable_residual_connections = config.enable_residual_connections
        self.aux_dropout_rate: float | None = config.get("aux_dropout_rate")
        self.front_end = SpeechFrontEnd(
            config.use_specaug,
            config.freq_mask_count,
            config.freq_mask_max_bins,
            config.time_mask_count,
            config.time_mask_max_ratio,
        )
        self.subsample = Subsample(config.encoder_dim, config.subsampling_channels, activation(config))
        self.lstms = nn.ModuleList(BatchRNN(config) for _ in range(config.num_lstm_layers))
        self.ffns = nn.ModuleList(FeedForwardModule(config) for _ in range(config.num_ffn_layers))
        self.ln = LayerNorm(config.encoder_dim) if config.enable_decoder_layer_norm else nn.Identity()
        self.lin = Linear(config.encoder_dim, config.vocab_size)

    def forward(self, audio: Tensor, paddings: Tensor, *, dropout_rate: float) -> tuple[Tensor, Tensor]:
        """Logits (B, T, V), and the paddings (B, T) of their frames.

        In training SpecAugment and dropout apply (both use the default generator), and batch norm uses the statistics
        of the batch.

        Args:
          audio: (B, L) samples in the range of 16-bit integers, as floats.
          paddings: (B, L), 1.0 where a sample is padding, else 0.0; real samples come first.
          dropout_rate: in [0, 1].
        """
        features, frame_paddings = self.front_end(audio, paddings)
        x_BTD, paddings_BT = self.subsample(features, frame_paddings)
        # Older submissions have a rate of its own for this one: see `algoperf.run.session`.
        rate = dropout_rate if self.aux_dropout_rate is None else self.aux_dropout_rate
        x_BTD = dropout(x_BTD, rate, self.training)
        for rnn in self.lstms:
            # No dropout after LSTMs, as in AlgoPerf: only after the subsampling and in the dense layers.
            y_BTD = rnn(x_BTD, paddings_BT)
            x_BTD = x_BTD + y_BTD if self.enable_residual_connections else y_BTD
        for ffn in self.ffns:
            y_BTD = ffn(x_BTD, paddings_BT, dropout_rate)
            x_BTD = x_BTD + y_BTD if self.enable_residual_connections else y_BTD
        return self.lin(self.ln(x_BTD)), paddings_BT


def make_model(spec: WorkloadSpec) -> DeepSpeech:
    return DeepSpeech(spec.model)
