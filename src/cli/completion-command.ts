/** `p2pfs completion bash|zsh`: prints a script by which these shells ask p2pfs for completions. */
import { buildCommand, type Command } from "@stricli/core";
import type { CliContext } from "./context.ts";

const bash = `# Completion of p2pfs for bash:  source <(p2pfs completion bash)
_p2pfs() {
  local line=\${COMP_LINE:0:COMP_POINT} kind text
  # Bash breaks words at : and = as well, and wants what comes after the last one of them only.
  local last=\${line##* } cut=
  [[ $last == *[:=]* ]] && cut=\${last%"\${last##*[:=]}"}
  COMPREPLY=()
  while IFS=$'\\t' read -r kind text; do
    [[ $kind == value ]] && compopt -o filenames 2>/dev/null
    [[ $text == */ ]] && compopt -o nospace 2>/dev/null
    COMPREPLY+=("\${text#"$cut"}")
  done < <("$1" propose -- "$line" 2>/dev/null)
}
complete -F _p2pfs p2pfs
`;

const zsh = `#compdef p2pfs
# Completion of p2pfs for zsh, after compinit:  source <(p2pfs completion zsh)
_p2pfs() {
  local kind text
  local -a found folders
  while IFS=$'\\t' read -r kind text; do
    # Quoted here, so that a ~ at the beginning keeps its meaning.
    text=\${\${(q)text}/#\\\\~/\\~}
    if [[ $text == */ ]]; then folders+=("$text"); else found+=("$text"); fi
  done < <("\${words[1]}" propose -- "\${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)
  (( $#found )) && compadd -Q -- "\${found[@]}"
  (( $#folders )) && compadd -Q -S '' -- "\${folders[@]}"
}
# As a file of $fpath this is read when the first completion asks for it.
if [[ \${funcstack[1]} == _p2pfs ]]; then _p2pfs "$@"; else compdef _p2pfs p2pfs; fi
`;

const scripts = { bash, zsh } as const;
type ShellName = keyof typeof scripts;

export function completionCommand(): Command<CliContext> {
  return buildCommand<Record<never, never>, [shell: ShellName], CliContext>({
    docs: {
      brief: "Print the completion script for bash or zsh",
      fullDescription:
        "Print the script that completes commands, flags, paths, shared names and addresses in bash or zsh.\n\n" +
        "EXAMPLES\n  source <(p2pfs completion bash)\n  p2pfs completion zsh > ~/.zfunc/_p2pfs",
    },
    parameters: {
      positional: {
        kind: "tuple",
        parameters: [
          {
            brief: "bash or zsh",
            placeholder: "SHELL",
            parse: parseShell,
            proposeCompletions: async () => Object.keys(scripts),
          },
        ],
      },
    },
    func(_flags, shell) {
      this.io.stdout.write(scripts[shell]);
    },
  });
}

function parseShell(text: string): ShellName {
  if (!Object.hasOwn(scripts, text)) throw new SyntaxError(`expected bash or zsh, not "${text}"`);
  return text as ShellName;
}
