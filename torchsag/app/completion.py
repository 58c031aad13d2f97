"""Words that a command line may go on with, and the scripts with which bash, zsh and fish ask for them.

The scripts hold nothing of torchsag's: they call ``torchsag --complete WORDS``, so that new commands, keys and
components are completed as soon as they are there. Where nothing is offered after ``key=``, the shell completes names
of files. Hydra's own completion is for programs that are hydra applications themselves, which torchsag, with its
commands, is not.
"""

from __future__ import annotations

from collections.abc import Sequence

from torchsag.app.catalogue import command_names
from torchsag.app.explanations import Explanation, explain
from torchsag.app.shorthands import shorthands
from torchsag.app.suggest import did_you_mean
from torchsag.errors import InputError

_FLAGS = ["--help", "--version", "--completion"]
_BASH = """\
_torchsag() {
    local words current word
    read -ra words <<< "${COMP_LINE:0:COMP_POINT}"
    [[ "${COMP_LINE:0:COMP_POINT}" == *[[:space:]] ]] && words+=("")
    current="${words[-1]}"
    COMPREPLY=()
    while IFS= read -r word; do
        # bash parts words at = and completes what follows.
        [[ "$current" == *=* && "$COMP_WORDBREAKS" == *=* ]] && word="${word#*=}"
        [[ -n "$word" ]] && COMPREPLY+=("$word")
    done < <("${words[0]}" --complete "${words[@]:1}" 2>/dev/null)
    if (( ${#COMPREPLY[@]} == 0 )) && [[ "$current" == *=* ]]; then
        compopt -o filenames 2>/dev/null
        while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "${current#*=}")
    elif [[ "${COMPREPLY[0]}" == *[=.] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _torchsag torchsag
"""
_ZSH = """\
#compdef torchsag
_torchsag() {
    local -a found open
    local word
    for word in ${(f)"$(${words[1]} --complete "${(@)words[2,CURRENT]}" 2>/dev/null)"}; do
        case $word in
            (*=|*.) open+=($word) ;;
            (?*) found+=($word) ;;
        esac
    done
    if (( $#found + $#open == 0 )); then
        [[ $words[CURRENT] == *=* ]] && compset -P '*=' && _files
        return
    fi
    (( $#found )) && compadd -- $found
    (( $#open )) && compadd -S '' -- $open
}
compdef _torchsag torchsag
"""
_FISH = """\
function __torchsag_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l found ($words[1] --complete $words[2..] "$current" 2>/dev/null)
    if test (count $found) -gt 0
        string join \\n -- $found
    else if string match -q -- '*=*' "$current"
        set -l key (string replace -r '=.*' '' -- "$current")
        for file in (__fish_complete_path (string replace -r '^[^=]*=' '' -- "$current"))
            echo $key=$file
        end
    end
end
complete -c torchsag -f -a '(__torchsag_complete)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def script(shell: str) -> str:
    """The script for a shell.

    Raises
    ------
    InputError
        If there is none for it.
    """
    if shell not in SCRIPTS:
        raise InputError(
            f"--completion: expected one of {', '.join(SCRIPTS)}, got {shell!r}{did_you_mean(shell, SCRIPTS)}; "
            'for bash: eval "$(torchsag --completion bash)"'
        )
    return SCRIPTS[shell]


def completions(words: Sequence[str]) -> list[str]:
    """What the last of some words, those after ``torchsag``, may become."""
    *before, current = words or [""]
    if not before:
        return _beginning(current, [*command_names(), *_FLAGS])
    if before == ["--completion"]:
        return _beginning(current, list(SCRIPTS))
    if before[0] not in command_names():
        return []
    command, explained = before[0], explain(before[0])
    given = dict(word.split("=", 1) for word in before[1:] if "=" in word)
    key, equals, _ = current.partition("=")
    if equals:
        return _beginning(current, [f"{key}={value}" for value in _values(explained, given, key)])
    keys = [*_keys(explained), *_components(explained, given, current), *(f"{key}=" for key in shorthands(command))]
    new = [word for word in dict.fromkeys(keys) if word.rstrip("=") not in given]
    return _beginning(current, [*new, "--help", "--multirun"])


def _beginning(current: str, words: list[str]) -> list[str]:
    return [word for word in words if word.startswith(current)]


def _keys(explained: Explanation) -> list[str]:
    """Keys and places for components at the top of a command."""
    top = [key.name for key in explained.keys if not key.value.startswith("$") and "." not in key.name]
    return [f"{name}=" for name in (*top, *(slot.word for slot in explained.slots if slot.choices))]


def _values(explained: Explanation, given: dict[str, str], key: str) -> list[str]:
    """Choices of a component, or true and false; nothing for numbers and names of files."""
    places = {slot.word: slot.choices for slot in explained.slots}
    switches = {one.name for one in explained.keys if one.value in ("true", "false")}
    for slot in explained.slots:
        inner = _chosen(slot.word, slot.chosen, given)
        place = slot.word.rpartition("@")[2]
        if inner is not None:
            places |= {_below(place, part.word): part.choices for part in inner.slots}
            switches |= {f"{place}.{one.name}" for one in inner.keys if one.value in ("true", "false")}
    return list(places.get(key, ())) or (["true", "false"] if key in switches else [])


def _components(explained: Explanation, given: dict[str, str], current: str) -> list[str]:
    """Fields of the components that are taken, once their place has been typed; else that there are such."""
    words: list[str] = []
    for slot in explained.slots:
        inner, place = _chosen(slot.word, slot.chosen, given), slot.word.rpartition("@")[2]
        if inner is None:
            continue
        if current.startswith(f"{place}."):
            words += [f"{place}.{key.name}=" for key in inner.keys]
        elif inner.keys and current:
            words.append(f"{place}.")
        if "@" in current:
            words += [f"{_below(place, part.word)}=" for part in inner.slots if part.choices]
    return words


def _chosen(word: str, default: str, given: dict[str, str]) -> Explanation | None:
    group = word.partition("@")[0]
    try:
        return explain(f"{group}/{given.get(word, default)}")
    except OSError:
        return None  # null, a file, or a misspelt name


def _below(place: str, word: str) -> str:
    """``optimizer@optimizer`` of the component at ``method``, as it is typed: ``optimizer@method.optimizer``."""
    group, _, inner = word.partition("@")
    return f"{group}@{place}.{inner or group}"
