# %% [markdown]
# # An answer in a notebook, as it is written
# Each `# %%` is a cell: in VS Code, PyCharm and Jupytext as it stands, elsewhere pasted. As a script it runs too.

# %%
from __future__ import annotations

import os

from streamkit import demo_tape
from streamkit.blocking import stream_text
from streamkit.gui import blocking_batches
from streamkit.loop_thread import LoopThread
from streamkit.testing import replay_server

# %% A server, if you have none: it plays a recorded answer until the notebook ends
if "OPENAI_BASE_URL" not in os.environ:
    server = LoopThread.shared().enter(replay_server(demo_tape(), speed=4))
    os.environ["OPENAI_BASE_URL"] = server.__enter__().base_url

# %% Ask. Interrupting the cell closes the connection, and keeps what has come
answer = stream_text("What is a stream?", model=os.environ.get("OPENAI_MODEL", "gpt-4.1-mini"))
for batch in blocking_batches(answer.stream, fps=10):
    print(
        batch.text, end="", flush=True
    )  # or display(..., display_id=True) before, and update(Markdown(answer.completion.text))
print()

# %% What it was
print(f"{answer.completion.finish_reason}, {answer.completion.usage}")
