# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_kordon_global_optspecs
    string join \n c/config= socket= h/help V/version
end

function __fish_kordon_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_kordon_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_kordon_using_subcommand
    set -l cmd (__fish_kordon_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c kordon -n "__fish_kordon_needs_command" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_needs_command" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_needs_command" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_needs_command" -s V -l version -d 'Print version'
complete -c kordon -n "__fish_kordon_needs_command" -f -a "run" -d 'Run in the foreground: hold, judge, answer (what the service does)'
complete -c kordon -n "__fish_kordon_needs_command" -f -a "check" -d 'Check configuration, lists and rules without touching anything'
complete -c kordon -n "__fish_kordon_needs_command" -f -a "setup" -d 'Write a configuration for an interface, after showing the difference'
complete -c kordon -n "__fish_kordon_needs_command" -f -a "doctor" -d 'What is wrong on this gateway, and what mends it; changes nothing'
complete -c kordon -n "__fish_kordon_needs_command" -f -a "why" -d 'What an address, a prefix or an AS number meets, by which list and on what basis'
complete -c kordon -n "__fish_kordon_needs_command" -f -a "lists" -d 'What each list holds, how old it is, what it met, and on what it rests'
complete -c kordon -n "__fish_kordon_needs_command" -f -a "cameras" -d 'Who sends what, and what a policy that drops the rest would have to let through'
complete -c kordon -n "__fish_kordon_needs_command" -f -a "status" -d 'How the running daemon is doing'
complete -c kordon -n "__fish_kordon_needs_command" -f -a "reload" -d 'Read configuration and lists again and put them in force, or say what is wrong'
complete -c kordon -n "__fish_kordon_needs_command" -f -a "block" -d 'Block prefixes at once and for a time, beside the lists'
complete -c kordon -n "__fish_kordon_needs_command" -f -a "allow" -d 'Exempt prefixes at once and for a time, beside the lists'
complete -c kordon -n "__fish_kordon_needs_command" -f -a "mode" -d 'Show the mode, or change it while packets flow'
complete -c kordon -n "__fish_kordon_needs_command" -f -a "pause" -d 'Let blocked packets pass for a while; ends by itself'
complete -c kordon -n "__fish_kordon_needs_command" -f -a "resume" -d 'End a pause early'
complete -c kordon -n "__fish_kordon_needs_command" -f -a "restart" -d 'Check what the next daemon will read, then have systemd restart it; packets wait meanwhile'
complete -c kordon -n "__fish_kordon_needs_command" -f -a "rules" -d 'Show, test, apply, verify or remove the hold and gate rules in the kernel'
complete -c kordon -n "__fish_kordon_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kordon -n "__fish_kordon_using_subcommand run" -l log -d 'How much to log on stderr (with fields in the journal, where stderr leads there)' -r -f -a "error\t''
warn\t''
info\t''
debug\t''"
complete -c kordon -n "__fish_kordon_using_subcommand run" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand run" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand run" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_using_subcommand check" -s o -l output -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c kordon -n "__fish_kordon_using_subcommand check" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand check" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand check" -l against-running -d 'Instead: what a reload of the running daemon would add and remove; changes nothing'
complete -c kordon -n "__fish_kordon_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kordon -n "__fish_kordon_using_subcommand setup" -l interface -d 'The interface that the cameras are behind' -r
complete -c kordon -n "__fish_kordon_using_subcommand setup" -l cameras -d 'A camera network, instead of the interface\'s own; may be repeated' -r
complete -c kordon -n "__fish_kordon_using_subcommand setup" -l recorder -d 'A recorder that no list can block; may be repeated' -r
complete -c kordon -n "__fish_kordon_using_subcommand setup" -l local -d 'A network of your own that no list shall block, though it is not private; may be repeated' -r
complete -c kordon -n "__fish_kordon_using_subcommand setup" -l mode -d 'What to begin with' -r -f -a "monitor\t'Drops nothing, counts what it would drop'
enforce\t'Drops'"
complete -c kordon -n "__fish_kordon_using_subcommand setup" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand setup" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand setup" -l dry-run -d 'Show the difference and write nothing'
complete -c kordon -n "__fish_kordon_using_subcommand setup" -l yes -d 'Write without asking'
complete -c kordon -n "__fish_kordon_using_subcommand setup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kordon -n "__fish_kordon_using_subcommand doctor" -s o -l output -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c kordon -n "__fish_kordon_using_subcommand doctor" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand doctor" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kordon -n "__fish_kordon_using_subcommand why" -l camera -d 'As this camera would be judged: its name in the configuration, or an address' -r
complete -c kordon -n "__fish_kordon_using_subcommand why" -s o -l output -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'
csv\t'For spreadsheets'"
complete -c kordon -n "__fish_kordon_using_subcommand why" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand why" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand why" -l running -d 'Ask the running daemon even though --config is given'
complete -c kordon -n "__fish_kordon_using_subcommand why" -l exit-code -d 'End with 0 if all pass, 10 if one is dropped by policy, whole or in part (also in monitor mode)'
complete -c kordon -n "__fish_kordon_using_subcommand why" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and not __fish_seen_subcommand_from show diff sniff failed disagreements help" -s o -l output -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'
csv\t'For spreadsheets'"
complete -c kordon -n "__fish_kordon_using_subcommand lists; and not __fish_seen_subcommand_from show diff sniff failed disagreements help" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand lists; and not __fish_seen_subcommand_from show diff sniff failed disagreements help" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand lists; and not __fish_seen_subcommand_from show diff sniff failed disagreements help" -l running -d 'Ask the running daemon even though --config is given'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and not __fish_seen_subcommand_from show diff sniff failed disagreements help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and not __fish_seen_subcommand_from show diff sniff failed disagreements help" -f -a "show" -d 'Everything about one list'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and not __fish_seen_subcommand_from show diff sniff failed disagreements help" -f -a "diff" -d 'What a new list file names that an old one does not, and the other way round'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and not __fish_seen_subcommand_from show diff sniff failed disagreements help" -f -a "sniff" -d 'What a file looks like: format, kind, entries, and what is wrong with it'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and not __fish_seen_subcommand_from show diff sniff failed disagreements help" -f -a "failed" -d 'Lines of a list that are wrong and were left out, or would be'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and not __fish_seen_subcommand_from show diff sniff failed disagreements help" -f -a "disagreements" -d 'Prefixes that one origin table gives to a listed AS number and another one to others'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and not __fish_seen_subcommand_from show diff sniff failed disagreements help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from show" -s o -l output -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'
csv\t'For spreadsheets'"
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from show" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from show" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from show" -l running -d 'Ask the running daemon even though --config is given'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from diff" -l kind -d 'What the lines of both are, if the files alone do not tell' -r -f -a "prefix\t''
asn\t''
country\t''"
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from diff" -l format -d 'How both are written, if the files alone do not tell' -r
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from diff" -s o -l output -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'
csv\t'For spreadsheets'"
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from diff" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from diff" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from diff" -l exit-code -d 'End with 0 if the same is named, 10 if not'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from sniff" -l kind -d 'What its lines are, if the file alone does not tell' -r -f -a "prefix\t''
asn\t''
country\t''"
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from sniff" -s o -l output -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from sniff" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from sniff" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from sniff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from failed" -s o -l output -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'
csv\t'For spreadsheets'"
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from failed" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from failed" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from failed" -l running -d 'Ask the running daemon even though --config is given'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from failed" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from disagreements" -s o -l output -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'
csv\t'For spreadsheets'"
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from disagreements" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from disagreements" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from disagreements" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from help" -f -a "show" -d 'Everything about one list'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from help" -f -a "diff" -d 'What a new list file names that an old one does not, and the other way round'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from help" -f -a "sniff" -d 'What a file looks like: format, kind, entries, and what is wrong with it'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from help" -f -a "failed" -d 'Lines of a list that are wrong and were left out, or would be'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from help" -f -a "disagreements" -d 'Prefixes that one origin table gives to a listed AS number and another one to others'
complete -c kordon -n "__fish_kordon_using_subcommand lists; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and not __fish_seen_subcommand_from show stopped learn help" -s o -l output -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'
csv\t'For spreadsheets'"
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and not __fish_seen_subcommand_from show stopped learn help" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and not __fish_seen_subcommand_from show stopped learn help" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and not __fish_seen_subcommand_from show stopped learn help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and not __fish_seen_subcommand_from show stopped learn help" -f -a "show" -d 'What one camera sends to'
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and not __fish_seen_subcommand_from show stopped learn help" -f -a "stopped" -d 'Who tried to reach what and was stopped, by which list and on what basis'
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and not __fish_seen_subcommand_from show stopped learn help" -f -a "learn" -d 'Propose an allow list and a policy that drops the rest, from what was seen to pass'
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and not __fish_seen_subcommand_from show stopped learn help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and __fish_seen_subcommand_from show" -s o -l output -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'
csv\t'For spreadsheets'"
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and __fish_seen_subcommand_from show" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and __fish_seen_subcommand_from show" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and __fish_seen_subcommand_from stopped" -s o -l output -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'
csv\t'For spreadsheets'"
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and __fish_seen_subcommand_from stopped" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and __fish_seen_subcommand_from stopped" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and __fish_seen_subcommand_from stopped" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and __fish_seen_subcommand_from learn" -l since -d 'Only what passed within this time (1s to 90d), such as 7d' -r
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and __fish_seen_subcommand_from learn" -l name -d 'The name of the policy and of its list' -r
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and __fish_seen_subcommand_from learn" -l write -d 'Write NAME.toml and NAME.txt into this folder instead of printing them' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and __fish_seen_subcommand_from learn" -s o -l output -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and __fish_seen_subcommand_from learn" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and __fish_seen_subcommand_from learn" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and __fish_seen_subcommand_from learn" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and __fish_seen_subcommand_from help" -f -a "show" -d 'What one camera sends to'
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and __fish_seen_subcommand_from help" -f -a "stopped" -d 'Who tried to reach what and was stopped, by which list and on what basis'
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and __fish_seen_subcommand_from help" -f -a "learn" -d 'Propose an allow list and a policy that drops the rest, from what was seen to pass'
complete -c kordon -n "__fish_kordon_using_subcommand cameras; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kordon -n "__fish_kordon_using_subcommand status" -s o -l output -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c kordon -n "__fish_kordon_using_subcommand status" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand status" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kordon -n "__fish_kordon_using_subcommand reload" -l accept -d 'Put this list in force although it shrank, grew or is older than before; this once, may be repeated' -r
complete -c kordon -n "__fish_kordon_using_subcommand reload" -s o -l output -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c kordon -n "__fish_kordon_using_subcommand reload" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand reload" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand reload" -l undo -d 'Go back to the rule set before the last change; the files stay as they are'
complete -c kordon -n "__fish_kordon_using_subcommand reload" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kordon -n "__fish_kordon_using_subcommand block; and not __fish_seen_subcommand_from add remove list help" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand block; and not __fish_seen_subcommand_from add remove list help" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand block; and not __fish_seen_subcommand_from add remove list help" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_using_subcommand block; and not __fish_seen_subcommand_from add remove list help" -f -a "add" -d 'Put prefixes in force at once, for a time'
complete -c kordon -n "__fish_kordon_using_subcommand block; and not __fish_seen_subcommand_from add remove list help" -f -a "remove" -d 'End entries before their time'
complete -c kordon -n "__fish_kordon_using_subcommand block; and not __fish_seen_subcommand_from add remove list help" -f -a "list" -d 'Show the entries given by command'
complete -c kordon -n "__fish_kordon_using_subcommand block; and not __fish_seen_subcommand_from add remove list help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kordon -n "__fish_kordon_using_subcommand block; and __fish_seen_subcommand_from add" -l ttl -d 'For how long (1s to 90d), such as 24h or 7d' -r
complete -c kordon -n "__fish_kordon_using_subcommand block; and __fish_seen_subcommand_from add" -l why -d 'Why, for the log and for `kordon why`' -r
complete -c kordon -n "__fish_kordon_using_subcommand block; and __fish_seen_subcommand_from add" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand block; and __fish_seen_subcommand_from add" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand block; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_using_subcommand block; and __fish_seen_subcommand_from remove" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand block; and __fish_seen_subcommand_from remove" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand block; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_using_subcommand block; and __fish_seen_subcommand_from list" -s o -l output -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c kordon -n "__fish_kordon_using_subcommand block; and __fish_seen_subcommand_from list" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand block; and __fish_seen_subcommand_from list" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand block; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kordon -n "__fish_kordon_using_subcommand block; and __fish_seen_subcommand_from help" -f -a "add" -d 'Put prefixes in force at once, for a time'
complete -c kordon -n "__fish_kordon_using_subcommand block; and __fish_seen_subcommand_from help" -f -a "remove" -d 'End entries before their time'
complete -c kordon -n "__fish_kordon_using_subcommand block; and __fish_seen_subcommand_from help" -f -a "list" -d 'Show the entries given by command'
complete -c kordon -n "__fish_kordon_using_subcommand block; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kordon -n "__fish_kordon_using_subcommand allow; and not __fish_seen_subcommand_from add remove list help" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand allow; and not __fish_seen_subcommand_from add remove list help" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand allow; and not __fish_seen_subcommand_from add remove list help" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_using_subcommand allow; and not __fish_seen_subcommand_from add remove list help" -f -a "add" -d 'Put prefixes in force at once, for a time'
complete -c kordon -n "__fish_kordon_using_subcommand allow; and not __fish_seen_subcommand_from add remove list help" -f -a "remove" -d 'End entries before their time'
complete -c kordon -n "__fish_kordon_using_subcommand allow; and not __fish_seen_subcommand_from add remove list help" -f -a "list" -d 'Show the entries given by command'
complete -c kordon -n "__fish_kordon_using_subcommand allow; and not __fish_seen_subcommand_from add remove list help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kordon -n "__fish_kordon_using_subcommand allow; and __fish_seen_subcommand_from add" -l ttl -d 'For how long (1s to 90d), such as 24h or 7d' -r
complete -c kordon -n "__fish_kordon_using_subcommand allow; and __fish_seen_subcommand_from add" -l why -d 'Why, for the log and for `kordon why`' -r
complete -c kordon -n "__fish_kordon_using_subcommand allow; and __fish_seen_subcommand_from add" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand allow; and __fish_seen_subcommand_from add" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand allow; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_using_subcommand allow; and __fish_seen_subcommand_from remove" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand allow; and __fish_seen_subcommand_from remove" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand allow; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_using_subcommand allow; and __fish_seen_subcommand_from list" -s o -l output -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c kordon -n "__fish_kordon_using_subcommand allow; and __fish_seen_subcommand_from list" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand allow; and __fish_seen_subcommand_from list" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand allow; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kordon -n "__fish_kordon_using_subcommand allow; and __fish_seen_subcommand_from help" -f -a "add" -d 'Put prefixes in force at once, for a time'
complete -c kordon -n "__fish_kordon_using_subcommand allow; and __fish_seen_subcommand_from help" -f -a "remove" -d 'End entries before their time'
complete -c kordon -n "__fish_kordon_using_subcommand allow; and __fish_seen_subcommand_from help" -f -a "list" -d 'Show the entries given by command'
complete -c kordon -n "__fish_kordon_using_subcommand allow; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kordon -n "__fish_kordon_using_subcommand mode; and not __fish_seen_subcommand_from monitor enforce confirm help" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand mode; and not __fish_seen_subcommand_from monitor enforce confirm help" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand mode; and not __fish_seen_subcommand_from monitor enforce confirm help" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_using_subcommand mode; and not __fish_seen_subcommand_from monitor enforce confirm help" -f -a "monitor" -d 'Drop nothing and count what would be dropped; open in every state'
complete -c kordon -n "__fish_kordon_using_subcommand mode; and not __fish_seen_subcommand_from monitor enforce confirm help" -f -a "enforce" -d 'Drop what a block list names'
complete -c kordon -n "__fish_kordon_using_subcommand mode; and not __fish_seen_subcommand_from monitor enforce confirm help" -f -a "confirm" -d 'Keep the mode that was set with --confirm-within'
complete -c kordon -n "__fish_kordon_using_subcommand mode; and not __fish_seen_subcommand_from monitor enforce confirm help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kordon -n "__fish_kordon_using_subcommand mode; and __fish_seen_subcommand_from monitor" -l confirm-within -d 'Go back by itself after this time unless `kordon mode confirm` came (1s to 24h)' -r
complete -c kordon -n "__fish_kordon_using_subcommand mode; and __fish_seen_subcommand_from monitor" -l why -d 'Why, for the log and the status' -r
complete -c kordon -n "__fish_kordon_using_subcommand mode; and __fish_seen_subcommand_from monitor" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand mode; and __fish_seen_subcommand_from monitor" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand mode; and __fish_seen_subcommand_from monitor" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_using_subcommand mode; and __fish_seen_subcommand_from enforce" -l confirm-within -d 'Go back by itself after this time unless `kordon mode confirm` came (1s to 24h)' -r
complete -c kordon -n "__fish_kordon_using_subcommand mode; and __fish_seen_subcommand_from enforce" -l why -d 'Why, for the log and the status' -r
complete -c kordon -n "__fish_kordon_using_subcommand mode; and __fish_seen_subcommand_from enforce" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand mode; and __fish_seen_subcommand_from enforce" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand mode; and __fish_seen_subcommand_from enforce" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_using_subcommand mode; and __fish_seen_subcommand_from confirm" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand mode; and __fish_seen_subcommand_from confirm" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand mode; and __fish_seen_subcommand_from confirm" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_using_subcommand mode; and __fish_seen_subcommand_from help" -f -a "monitor" -d 'Drop nothing and count what would be dropped; open in every state'
complete -c kordon -n "__fish_kordon_using_subcommand mode; and __fish_seen_subcommand_from help" -f -a "enforce" -d 'Drop what a block list names'
complete -c kordon -n "__fish_kordon_using_subcommand mode; and __fish_seen_subcommand_from help" -f -a "confirm" -d 'Keep the mode that was set with --confirm-within'
complete -c kordon -n "__fish_kordon_using_subcommand mode; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kordon -n "__fish_kordon_using_subcommand pause" -l for -d 'For how long (1s to 24h); ends by itself, and with a restart' -r
complete -c kordon -n "__fish_kordon_using_subcommand pause" -l why -d 'Why, for the log and the status' -r
complete -c kordon -n "__fish_kordon_using_subcommand pause" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand pause" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand pause" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_using_subcommand resume" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand resume" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand resume" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_using_subcommand restart" -l unit -d 'The service\'s unit' -r
complete -c kordon -n "__fish_kordon_using_subcommand restart" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand restart" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand restart" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_using_subcommand rules; and not __fish_seen_subcommand_from show check verify apply remove help" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand rules; and not __fish_seen_subcommand_from show check verify apply remove help" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand rules; and not __fish_seen_subcommand_from show check verify apply remove help" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_using_subcommand rules; and not __fish_seen_subcommand_from show check verify apply remove help" -f -a "show" -d 'Print what `apply` would run, or the lines to paste where the rules are yours'
complete -c kordon -n "__fish_kordon_using_subcommand rules; and not __fish_seen_subcommand_from show check verify apply remove help" -f -a "check" -d 'Have the kernel\'s tools test what `apply` would do; nothing is changed'
complete -c kordon -n "__fish_kordon_using_subcommand rules; and not __fish_seen_subcommand_from show check verify apply remove help" -f -a "verify" -d 'Ask the kernel whether what stands is as planned: status 0, otherwise 1'
complete -c kordon -n "__fish_kordon_using_subcommand rules; and not __fish_seen_subcommand_from show check verify apply remove help" -f -a "apply" -d 'Put gate and hold in place (gate first)'
complete -c kordon -n "__fish_kordon_using_subcommand rules; and not __fish_seen_subcommand_from show check verify apply remove help" -f -a "remove" -d 'Take hold and gate away (hold first): everything passes unjudged until `apply`'
complete -c kordon -n "__fish_kordon_using_subcommand rules; and not __fish_seen_subcommand_from show check verify apply remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from show" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from show" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from check" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from check" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from verify" -s o -l output -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from verify" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from verify" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from apply" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from apply" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from apply" -l gate-only -d 'Only the gate, as at boot: nothing passes until the daemon runs'
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from apply" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from remove" -l why -d 'Why; a running daemon insists on it, logs it and shows it in its status' -r
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from remove" -s c -l config -d 'The configuration file [default: /etc/kordon/kordon.toml]' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from remove" -l socket -d 'The control socket of the running daemon, instead of the configuration\'s' -r -F
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print what `apply` would run, or the lines to paste where the rules are yours'
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "check" -d 'Have the kernel\'s tools test what `apply` would do; nothing is changed'
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Ask the kernel whether what stands is as planned: status 0, otherwise 1'
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "apply" -d 'Put gate and hold in place (gate first)'
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Take hold and gate away (hold first): everything passes unjudged until `apply`'
complete -c kordon -n "__fish_kordon_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kordon -n "__fish_kordon_using_subcommand help; and not __fish_seen_subcommand_from run check setup doctor why lists cameras status reload block allow mode pause resume restart rules help" -f -a "run" -d 'Run in the foreground: hold, judge, answer (what the service does)'
complete -c kordon -n "__fish_kordon_using_subcommand help; and not __fish_seen_subcommand_from run check setup doctor why lists cameras status reload block allow mode pause resume restart rules help" -f -a "check" -d 'Check configuration, lists and rules without touching anything'
complete -c kordon -n "__fish_kordon_using_subcommand help; and not __fish_seen_subcommand_from run check setup doctor why lists cameras status reload block allow mode pause resume restart rules help" -f -a "setup" -d 'Write a configuration for an interface, after showing the difference'
complete -c kordon -n "__fish_kordon_using_subcommand help; and not __fish_seen_subcommand_from run check setup doctor why lists cameras status reload block allow mode pause resume restart rules help" -f -a "doctor" -d 'What is wrong on this gateway, and what mends it; changes nothing'
complete -c kordon -n "__fish_kordon_using_subcommand help; and not __fish_seen_subcommand_from run check setup doctor why lists cameras status reload block allow mode pause resume restart rules help" -f -a "why" -d 'What an address, a prefix or an AS number meets, by which list and on what basis'
complete -c kordon -n "__fish_kordon_using_subcommand help; and not __fish_seen_subcommand_from run check setup doctor why lists cameras status reload block allow mode pause resume restart rules help" -f -a "lists" -d 'What each list holds, how old it is, what it met, and on what it rests'
complete -c kordon -n "__fish_kordon_using_subcommand help; and not __fish_seen_subcommand_from run check setup doctor why lists cameras status reload block allow mode pause resume restart rules help" -f -a "cameras" -d 'Who sends what, and what a policy that drops the rest would have to let through'
complete -c kordon -n "__fish_kordon_using_subcommand help; and not __fish_seen_subcommand_from run check setup doctor why lists cameras status reload block allow mode pause resume restart rules help" -f -a "status" -d 'How the running daemon is doing'
complete -c kordon -n "__fish_kordon_using_subcommand help; and not __fish_seen_subcommand_from run check setup doctor why lists cameras status reload block allow mode pause resume restart rules help" -f -a "reload" -d 'Read configuration and lists again and put them in force, or say what is wrong'
complete -c kordon -n "__fish_kordon_using_subcommand help; and not __fish_seen_subcommand_from run check setup doctor why lists cameras status reload block allow mode pause resume restart rules help" -f -a "block" -d 'Block prefixes at once and for a time, beside the lists'
complete -c kordon -n "__fish_kordon_using_subcommand help; and not __fish_seen_subcommand_from run check setup doctor why lists cameras status reload block allow mode pause resume restart rules help" -f -a "allow" -d 'Exempt prefixes at once and for a time, beside the lists'
complete -c kordon -n "__fish_kordon_using_subcommand help; and not __fish_seen_subcommand_from run check setup doctor why lists cameras status reload block allow mode pause resume restart rules help" -f -a "mode" -d 'Show the mode, or change it while packets flow'
complete -c kordon -n "__fish_kordon_using_subcommand help; and not __fish_seen_subcommand_from run check setup doctor why lists cameras status reload block allow mode pause resume restart rules help" -f -a "pause" -d 'Let blocked packets pass for a while; ends by itself'
complete -c kordon -n "__fish_kordon_using_subcommand help; and not __fish_seen_subcommand_from run check setup doctor why lists cameras status reload block allow mode pause resume restart rules help" -f -a "resume" -d 'End a pause early'
complete -c kordon -n "__fish_kordon_using_subcommand help; and not __fish_seen_subcommand_from run check setup doctor why lists cameras status reload block allow mode pause resume restart rules help" -f -a "restart" -d 'Check what the next daemon will read, then have systemd restart it; packets wait meanwhile'
complete -c kordon -n "__fish_kordon_using_subcommand help; and not __fish_seen_subcommand_from run check setup doctor why lists cameras status reload block allow mode pause resume restart rules help" -f -a "rules" -d 'Show, test, apply, verify or remove the hold and gate rules in the kernel'
complete -c kordon -n "__fish_kordon_using_subcommand help; and not __fish_seen_subcommand_from run check setup doctor why lists cameras status reload block allow mode pause resume restart rules help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from lists" -f -a "show" -d 'Everything about one list'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from lists" -f -a "diff" -d 'What a new list file names that an old one does not, and the other way round'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from lists" -f -a "sniff" -d 'What a file looks like: format, kind, entries, and what is wrong with it'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from lists" -f -a "failed" -d 'Lines of a list that are wrong and were left out, or would be'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from lists" -f -a "disagreements" -d 'Prefixes that one origin table gives to a listed AS number and another one to others'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from cameras" -f -a "show" -d 'What one camera sends to'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from cameras" -f -a "stopped" -d 'Who tried to reach what and was stopped, by which list and on what basis'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from cameras" -f -a "learn" -d 'Propose an allow list and a policy that drops the rest, from what was seen to pass'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from block" -f -a "add" -d 'Put prefixes in force at once, for a time'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from block" -f -a "remove" -d 'End entries before their time'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from block" -f -a "list" -d 'Show the entries given by command'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from allow" -f -a "add" -d 'Put prefixes in force at once, for a time'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from allow" -f -a "remove" -d 'End entries before their time'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from allow" -f -a "list" -d 'Show the entries given by command'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from mode" -f -a "monitor" -d 'Drop nothing and count what would be dropped; open in every state'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from mode" -f -a "enforce" -d 'Drop what a block list names'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from mode" -f -a "confirm" -d 'Keep the mode that was set with --confirm-within'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "show" -d 'Print what `apply` would run, or the lines to paste where the rules are yours'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "check" -d 'Have the kernel\'s tools test what `apply` would do; nothing is changed'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "verify" -d 'Ask the kernel whether what stands is as planned: status 0, otherwise 1'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "apply" -d 'Put gate and hold in place (gate first)'
complete -c kordon -n "__fish_kordon_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "remove" -d 'Take hold and gate away (hold first): everything passes unjudged until `apply`'
