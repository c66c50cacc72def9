"""datatrove's files of tokens, of 2 and of 4 bytes each."""

import json
import sys
from pathlib import Path

sys.path.pop(0)
from datatrove.pipeline.tokens.tokenizer import TokenizedFile

folder = Path(sys.argv[1])
for name, size in (("two.ds", 2), ("four.ds", 4)):
    file = TokenizedFile(str(folder), name, token_size=size, save_final_metadata=True)
    for document in json.loads((folder / "documents.json").read_text()):
        file.write(document, None)
    file.close()
