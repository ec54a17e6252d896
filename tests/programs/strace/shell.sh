# Pipes, signals, traps, here-documents and small programs.
trap 'echo usr1' USR1
trap 'echo exit' EXIT
kill -USR1 $$
seq 1 100 | sort -rn | head -5 | tr 0-9 a-j
for i in 1 2 3; do (exit $i); echo $?; done
x=$(ls /etc | wc -l); echo $x
sleep 0.1 & wait $!
cat <<E
heredoc
E
[[ -f /etc/passwd ]] && read -r l < /etc/passwd; echo "$l"
timeout 0.1 sleep 5
printf 'a\nb\n' > f1; cp f1 f2; mv f2 f3; ln -sf f1 l1; rm -f f3; mkdir -p d1/d2; rmdir d1/d2; touch -d yesterday f1; chmod 600 f1; stat f1
