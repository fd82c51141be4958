# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The sessions that the documentation of AF_GRAFT showed in 2018, with the module: iperf3 and
# nginx, unmodified, in a container's namespace, at endpoints of the host's.
#
#	"the host" (iperf3 -c, curl)
#	+-- box		stands for `docker run --cap-add=NET_ADMIN`

# start NAME PAIRS COMMAND: a shell's, in the box, with the library
start()
{
	spawn "$1" nsenter --net=/run/netns/box env "PATH=$PREFIX/libexec/graft:$PATH" \
		LD_PRELOAD="$LIBRARY" GRAFT_CONV_PAIRS="$2" bash -c "$3"
}

session_iperf3()
{
	start iperf3 "0.0.0.0:5201=ep-lo" \
		"ip gr add ep-lo type ipv4 addr 127.0.0.1 port 5201 netns 1 &&
			exec iperf3 -4 -s -1 --forceflush"
	check "iperf3: it listens" within "$LIMIT" grep -q listening "$T/iperf3.log"
	contains "iperf3: ip graft show" "ep-lo type ipv4 addr 127.0.0.1 port 5201 netns 1 " \
		"$(nsenter --net=/run/netns/box "$PREFIX/libexec/graft/ip" graft show 2>&1)"
	contains "iperf3: the host's client" "receiver" \
		"$(iperf3 -4 -c 127.0.0.1 -n 4M 2>&1)"
	contains "iperf3: the server saw it" "connected to 127.0.0.1" "$(cat "$T/iperf3.log")"
	stop iperf3
}

session_nginx()
{
	mkdir -p "$T/nginx"
	echo grafted >"$T/nginx/index.html"
	cat >"$T/nginx/nginx.conf" <<END
daemon off;
pid $T/nginx/pid;
error_log stderr;
events { }
http {
	access_log off;
	client_body_temp_path $T/nginx/body;
	proxy_temp_path $T/nginx/proxy;
	fastcgi_temp_path $T/nginx/fastcgi;
	uwsgi_temp_path $T/nginx/uwsgi;
	scgi_temp_path $T/nginx/scgi;
	server { listen 0.0.0.0:80; root $T/nginx; }
}
END
	start nginx "0.0.0.0:80=nx4" \
		"ip gr add nx4 type ipv4 addr 0.0.0.0 port 8080 netns 1 &&
			exec nginx -c $T/nginx/nginx.conf"
	check "nginx: the host's port leads to it" within "$LIMIT" curl -sf -o "$T/page" \
		http://127.0.0.1:8080/
	equal "nginx: its page" grafted "$(cat "$T/page")"
	equal "nginx: not at the host's port 80" "000" \
		"$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:80/)"
	stop nginx
}

sessions()
{
	if ! has iperf3 || ! has nginx || ! has curl; then
		skip_point "sessions" "needs iperf3, nginx and curl"
		return
	fi
	load
	ip netns add box
	ip -n box link set lo up
	session_iperf3
	session_nginx
	stop_all
	ip netns del box
	check "sessions: nothing holds the module" unload
}
