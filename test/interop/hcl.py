"""As much of Terraform's language as packaging/ecs uses: blocks and attributes, expressions as text. Not a judge of
expressions: `terraform validate` is that, where there is one."""
import re

_TOKENS = re.compile(r"""(?P<space>[ \t\r]+|\#[^\n]*|//[^\n]*|/\*.*?\*/)|(?P<line>\n)|(?P<string>"(?:[^"\\\n]|\\.)*")|
    (?P<word>[A-Za-z_][A-Za-z0-9_-]*)|(?P<open>[\[({])|(?P<close>[\])}])|
    (?P<other>[0-9.]+|=>|[=!<>]=|&&|\|\||[^\s"])""", re.S | re.X)
_PAIRS = {"(": ")", "[": "]", "{": "}"}


class Broken(Exception):
    pass


class Block:
    def __init__(self, kind, labels):
        self.kind, self.labels, self.attributes, self.blocks = kind, labels, {}, []

    def all_blocks(self):
        yield self
        for block in self.blocks:
            yield from block.all_blocks()


def parse(text):
    """The file as one Block."""
    tokens, at = [], 0
    while at < len(text):
        found = _TOKENS.match(text, at)
        if found is None:
            raise Broken(f"cannot be read at {text[at:at + 20]!r}")
        at = found.end()
        if found.lastgroup != "space":
            tokens.append((found.lastgroup, found.group()))
    top, rest = _body(tokens, 0, Block("", []), nested=False)
    if rest != len(tokens):
        raise Broken("a } too many")
    return top


def _body(tokens, at, block, nested):
    while at < len(tokens):
        kind, word = tokens[at]
        at += 1
        if kind == "line":
            continue
        if kind == "close" and word == "}" and nested:
            return block, at
        if kind != "word":
            raise Broken(f"{word!r} where a name is expected in {block.kind} {block.labels}")
        if at < len(tokens) and tokens[at] == ("other", "="):
            if word in block.attributes:
                raise Broken(f"{word} twice in {block.kind} {block.labels}")
            block.attributes[word], at = _expression(tokens, at + 1)
            continue
        labels = []
        while at < len(tokens) and tokens[at][0] == "string":
            labels.append(tokens[at][1][1:-1])
            at += 1
        if at == len(tokens) or tokens[at] != ("open", "{"):
            raise Broken(f"{word} is neither an attribute nor a block")
        inner, at = _body(tokens, at + 1, Block(word, labels), nested=True)
        block.blocks.append(inner)
    if nested:
        raise Broken(f"no }} for {block.kind} {block.labels}")
    return block, at


def _expression(tokens, at):
    """Until the end of the line, or of the block in one line, outside of all brackets."""
    words, waiting = [], []
    while at < len(tokens):
        kind, word = tokens[at]
        if not waiting and (kind == "line" or (kind == "close" and word == "}")):
            break
        at += 1
        if kind == "open":
            waiting.append(_PAIRS[word])
        elif kind == "close" and (not waiting or waiting.pop() != word):
            raise Broken(f"{word} closes nothing")
        words.append(word)
    if waiting or not words:
        raise Broken(f"no {waiting} at the end of {' '.join(words)[:60]}")
    return " ".join(words), at


def references(expression):
    """What it names, such as ("var", "name") and ("aws_lb", "shoal", "arn"), those inside of strings too."""
    plain = re.sub(r'"(?:[^"\\]|\\.)*"', lambda s: " ".join(re.findall(r"\$\{([^}]*)\}", s.group())), expression)
    plain = re.sub(r"\s*\.\s*", ".", plain)
    return [tuple(found.split(".")) for found in re.findall(r"(?<![\w.])[A-Za-z_]\w*(?:\.\w+)+", plain)]
