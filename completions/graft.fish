# SPDX-License-Identifier: LGPL-2.1-or-later
#
# fish completion for graft.

# True while the command is one of those named and, for run, no program was given yet.
function __graft_uses
    set -l words (commandline -opc)
    contains -- "$words[2]" $argv
end

complete -c graft -f
complete -c graft -n __fish_use_subcommand -a run -d 'run a program on grafted sockets'
complete -c graft -n __fish_use_subcommand -a explain -d 'say what a call would become, and why'
complete -c graft -n __fish_use_subcommand -a check -d 'check policy files'
complete -c graft -n __fish_use_subcommand -a ps -d 'list live runs, or the sockets they have'
complete -c graft -n __fish_use_subcommand -a add -d 'define an endpoint'
complete -c graft -n __fish_use_subcommand -a del -d 'remove an endpoint'
complete -c graft -n __fish_use_subcommand -a show -d 'list the endpoints'
complete -c graft -n __fish_use_subcommand -a monitor -d 'say what happens to the endpoints'
complete -c graft -n __fish_use_subcommand -a reload -d 'make graftd read its configuration again'
complete -c graft -n __fish_use_subcommand -a attach -d 'have the kernel judge a cgroup by a policy'
complete -c graft -n __fish_use_subcommand -a detach -d 'take the policy of a cgroup away'
complete -c graft -n __fish_use_subcommand -a stat -d 'count the calls each rule of a cgroup decided'
complete -c graft -n __fish_use_subcommand -a trace -d 'show the calls that cgroups\' policies judge'
complete -c graft -n __fish_use_subcommand -a revoke -d "take back what a cgroup's policy let through"
complete -c graft -n __fish_use_subcommand -a install -d 'register graft-runtime with a container engine'
complete -c graft -n __fish_use_subcommand -a uninstall -d 'take it out again'
complete -c graft -n __fish_use_subcommand -a status -d 'say whether graft-runtime is registered'
complete -c graft -n __fish_use_subcommand -a lend -d "lend the host's sockets to a rootless engine"
complete -c graft -n __fish_use_subcommand -a doctor -d 'say what this kernel and user can do'
complete -c graft -n __fish_use_subcommand -a help -d 'show the commands'
complete -c graft -n __fish_use_subcommand -s V -l version -d 'show the version'
complete -c graft -s h -l help -d 'show help'

complete -c graft -n '__graft_uses run explain attach' -l policy -r -F -d 'read the rules in a file'
complete -c graft -n '__graft_uses run explain attach' -l rule -x -d 'add one rule'
complete -c graft -n '__graft_uses run explain attach' -s p -l publish -x -d 'publish a port'
complete -c graft -n '__graft_uses run explain attach' -s i -l ingress -x -d 'what a bind becomes'
complete -c graft -n '__graft_uses run explain attach' -s e -l egress -x -d 'what a connect becomes'

complete -c graft -n '__graft_uses run' -l name -x -d 'name the run'
complete -c graft -n '__graft_uses run' -l engine -x -a 'auto notify preload af_graft cgroup' -d 'how calls reach graft'
complete -c graft -n '__graft_uses run' -l dns -x -a 'auto none' -d 'how names resolve'
complete -c graft -n '__graft_uses run attach revoke' -s v -l verbose -d 'say what happens'
complete -c graft -n '__graft_uses run' -a '(__fish_complete_subcommand --fcs-skip=2)'

complete -c graft -n '__graft_uses explain' -l v6only -d 'the socket is IPV6_V6ONLY'
complete -c graft -n '__graft_uses explain' -l bound -d 'the run is bound to its endpoints'
complete -c graft -n '__graft_uses explain ps show monitor stat trace revoke status doctor' -l json -d 'print JSON'
complete -c graft -n '__graft_uses explain' -a 'bind connect tcp udp unix'
complete -c graft -n '__graft_uses check' -l print -d 'print the rules as judged'
complete -c graft -n '__graft_uses check' -l registry -d 'undefined endpoints are known to graftd'
complete -c graft -n '__graft_uses check' -F
complete -c graft -n '__graft_uses attach' -l audit -d 'count what is denied, and let it pass'
complete -c graft -n '__graft_uses attach' -l wait -d 'return when calls that began before are over'
complete -c graft -n '__graft_uses attach detach stat revoke' -F
complete -c graft -n '__graft_uses detach' -l all -d 'from every cgroup'
complete -c graft -n '__graft_uses detach' -l dry-run -d 'print these cgroups, and do nothing'
complete -c graft -n '__graft_uses trace' -l cgroup -r -F -d 'what its policy judges'
complete -c graft -n '__graft_uses trace' -l pid -x -d 'what this process calls'
complete -c graft -n '__graft_uses trace' -l denied -d 'calls that fail, or would'
complete -c graft -n '__graft_uses trace' -s n -l count -x -d 'end after so many calls'
complete -c graft -n '__graft_uses revoke' -l rule -x -d 'that rule only'
complete -c graft -n '__graft_uses revoke' -l endpoint -x -d 'the rules with that endpoint only'
complete -c graft -n '__graft_uses revoke' -l dry-run -d 'list the sockets, and do nothing'
complete -c graft -n '__graft_uses install uninstall status' -s c -l config -r -F -d 'the file'
complete -c graft -n '__graft_uses install' -s r -l runtime -r -F -d 'another graft-runtime'
complete -c graft -n '__graft_uses install uninstall status' -a 'docker containerd k8s nerdctl podman'
complete -c graft -n '__graft_uses lend' -a '(__fish_complete_subcommand --fcs-skip=2)'
complete -c graft -n '__graft_uses ps' -l sockets -d 'list their sockets'
complete -c graft -n '__graft_uses ps' -a "(graft ps 2>/dev/null | awk 'NR > 1 { print \$1 }')"

complete -c graft -n '__graft_uses add del show monitor reload' -l socket -r -F -d 'where graftd listens'
complete -c graft -n '__graft_uses add' -l batch -r -F -d 'add the endpoints of a file'
complete -c graft -n '__graft_uses add' -l force -d 'go on after a line that fails'
complete -c graft -n '__graft_uses add' -a 'type ipv4 ipv6 unix any addr port dynamic path netns hold share owner binder connector'
complete -c graft -n '__graft_uses del show monitor' -a "(graft show 2>/dev/null | awk '{ print \$1 }')"
