export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/*
 * Each script asks `iso-rehydrate complete -- WORD…` for the continuations of the line up to the cursor. The first line
 * of the answer says what follows: words (with a tab and a description), the last word of a list, files or folders.
 */

const BASH = `# bash completion for iso-rehydrate
_iso_rehydrate() {
  local program=\${COMP_WORDS[0]/#\\~\\//$HOME/} current=\${COMP_WORDS[COMP_CWORD]} line
  local -a answer
  [ "$current" != = ] || current=
  mapfile -t answer < <("$program" complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  COMPREPLY=()
  case \${answer[0]-} in
    files)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      ;;
    folders)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -d -- "$current")
      ;;
    words | list)
      [ "\${answer[0]}" = words ] || compopt -o nospace
      for line in "\${answer[@]:1}"; do COMPREPLY+=("\${line%%$'\\t'*}"); done
      ;;
  esac
}
complete -F _iso_rehydrate iso-rehydrate
`;

const ZSH = `#compdef iso-rehydrate
# zsh completion for iso-rehydrate
_iso_rehydrate() {
  local line
  local -a answer described
  answer=("\${(@f)$("\${(Q)words[1]/#\\~\\//$HOME/}" complete -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  case \${answer[1]} in
    files) compset -P '--*='; _files ;;
    folders) compset -P '--*='; _files -/ ;;
    words | list)
      for line in "\${(@)answer[2,-1]}"; do
        described+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
      done
      if [[ \${answer[1]} == list ]]; then _describe -t words word described -S ''
      else _describe -t words word described; fi
      ;;
  esac
}
if [ "\${funcstack[1]}" = _iso_rehydrate ]; then _iso_rehydrate "$@"; else compdef _iso_rehydrate iso-rehydrate; fi
`;

const FISH = `# fish completion for iso-rehydrate
function __iso_rehydrate_complete
    set -l line (commandline -opc)
    set -l current (commandline -ct)
    set -l program $line[1]
    set -e line[1]
    set -l answer ($program complete -- $line "$current" 2>/dev/null)
    set -l kind $answer[1]
    set -e answer[1]
    switch "$kind"
        case files
            __fish_complete_path "$current"
        case folders
            __fish_complete_directories "$current"
        case words list
            printf '%s\\n' $answer
    end
end
complete -c iso-rehydrate -f -a '(__iso_rehydrate_complete)'
`;

/** What a shell reads to complete command lines. */
export const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH };
