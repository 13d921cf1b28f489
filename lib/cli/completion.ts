/** Scripts with which a shell completes commands and options. Each lists them, so that completing starts no Node. */
import { UsageError, type Command } from './command.js';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

const wordsOf = ({ options, operands = [] }: Command): string[] => [
  ...operands,
  ...[...Object.keys(options), 'help'].map((name) => `--${name}`),
];

function bash(commands: readonly Command[]): string {
  const cases = commands.map((command) => `      ${command.name}) words='${wordsOf(command).join(' ')}' ;;`);
  return `_flash_softmax() {
  local words='${commands.map(({ name }) => name).join(' ')} --help --version'
  if ((COMP_CWORD > 1)); then
    case \${COMP_WORDS[1]} in
${cases.join('\n')}
      *) words='' ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _flash_softmax flash-softmax
`;
}

// zsh has bash's completion built in.
const zsh = (commands: readonly Command[]): string => `autoload -U +X bashcompinit && bashcompinit\n${bash(commands)}`;

function fish(commands: readonly Command[]): string {
  const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const lines = commands.flatMap(({ name, summary, options, operands = [] }) => [
    `complete -c flash-softmax -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
    ...operands.map((each) => `complete -c flash-softmax -n '__fish_seen_subcommand_from ${name}' -a ${each}`),
    ...Object.entries(options).map(([option, { value, help }]) => {
      const from = `complete -c flash-softmax -n '__fish_seen_subcommand_from ${name}'`;
      return `${from} -l ${option}${value ? ' -r' : ''} -d ${quoted(help)}`;
    }),
  ]);
  return `${lines.join('\n')}\n`;
}

export function completionScript(shell: string, commands: readonly Command[]): string {
  const script = { bash, zsh, fish }[shell as (typeof SHELLS)[number]];
  if (!Object.hasOwn({ bash, zsh, fish }, shell)) {
    throw new UsageError(`Expected one of ${SHELLS.join(', ')} but received '${shell}'`);
  }
  return script(commands);
}
