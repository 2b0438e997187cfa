"""Log-mel features of audio, in PyTorch. There are no parameters and no gradients.

Shapes: B batch, L samples, T frames, H samples of a hop, W samples of a window, F mel bins
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workloads.librispeech import mel


class LogMel(nn.Module):
    """Normalised log-mel features of 16 kHz audio; constants are buffers that are not in the state dict."""

    def __init__(self):
        super().__init__()
        constants = {
            "window_W": mel.hann_window(),
            "weights": mel.mel_matrix(),
            "mean_F": mel.MEAN,
            "stddev_F": mel.STDDEV,
        }
        self.window_W: Tensor
        self.weights: Tensor
        self.mean_F: Tensor
        self.stddev_F: Tensor
        for name, value in constants.items():
            self.register_buffer(name, torch.tensor(value), persistent=False)

    @torch.no_grad()
    def forward(self, audio_BL: Tensor, paddings_BL: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
          audio_BL: samples in the range of 16-bit integers, as floats; padded samples count as 0.
          paddings_BL: 1.0 where a sample is padding, else 0.0.

        Returns:
          ((B, T, 80) features, (B, T) paddings) with T = `mel.num_frames(L)`; a frame is padding if all its
          `mel.FRAME` samples are.
        """
        num_frames = mel.num_frames(audio_BL.shape[1])
        audio_BL = audio_BL * (1 - paddings_BL) * mel.SAMPLE_SCALE
        # The window's first weight is 0, so a frame's first sample affects only its second. Therefore pre-emphasis
        # within each frame, the definition, equals pre-emphasis of the whole clip, which is 2.5 times less work.
        emphasised_BL = audio_BL - mel.PREEMPHASIS * F.pad(audio_BL[:, :-1], (1, 0))
        frames_BTW = emphasised_BL.unfold(1, mel.WINDOW, mel.HOP)[:, :num_frames]
        spectrum = torch.fft.rfft(frames_BTW * self.window_W, mel.FFT_LENGTH)
        power = spectrum.real.square() + spectrum.imag.square()
        features_BTF = (power @ self.weights).clamp_min(mel.LOG_FLOOR).log()
        return (features_BTF - self.mean_F) / self.stddev_F, frame_paddings(paddings_BL)


def log_mel(audio_BL: Tensor, paddings_BL: Tensor) -> tuple[Tensor, Tensor]:
    """The result of a new `LogMel`; models keep one, with its constants already on the device."""
    return LogMel().to(audio_BL)(audio_BL, paddings_BL)


def frame_paddings(paddings_BL: Tensor) -> Tensor:
    """(B, T): the minimum of `paddings_BL` over each frame's samples."""
    num_frames = mel.num_frames(paddings_BL.shape[1])
    length = (num_frames + 2) * mel.HOP
    paddings_BL = F.pad(paddings_BL[:, :length], (0, max(length - paddings_BL.shape[1], 0)), value=1.0)
    # Frame t lies in the hops t, t + 1 and t + 2.
    hops_BTH = paddings_BL.unflatten(1, (num_frames + 2, mel.HOP))
    whole_BT = hops_BTH.amin(dim=2)
    rest_BT = hops_BTH[:, 2:, : mel.FRAME - 2 * mel.HOP].amin(dim=2)
    return torch.minimum(torch.minimum(whole_BT[:, :-2], whole_BT[:, 1:-1]), rest_BT)
