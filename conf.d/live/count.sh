#!/bin/sh
# Counts for whoever looks, a number a second; a word from there starts over.
exec 3<&0
(while read -r word; do kill -USR1 $$; done; kill -TERM $$) <&3 &
count=0
trap 'count=0' USR1
while :; do
    count=$((count + 1))
    echo "$count"
    sleep 1 &
    wait $!
done
