# Turn the part of #cloud-config that usr/sbin/seed names into the file "commands", a shell script that carries it out,
# and "users", the names of the users it makes.

function text(value) {
    sub(/^[ \t]+/, "", value); sub(/[ \t]+$/, "", value)
    if (value ~ /^".*"$/ || value ~ /^'.*'$/) value = substr(value, 2, length(value) - 2)
    return value
}
function quoted(value) { gsub(/'/, "'\\''", value); return "'" value "'" }
function indent(line) { match(line, /^ */); return RLENGTH }

function finish(    home) { # the list item read so far, when it is complete
    if (section == "users" && "name" in item) {
        home = "/home/" item["name"]
        print "user " quoted(item["name"]) " " quoted("passwd" in item ? item["passwd"] : "*") \
              " " quoted(item["plain_text_passwd"]) > "commands"
        print item["name"] > "users"
    }
    if (section == "write_files" && "path" in item) {
        print "put " quoted(item["path"]) " " quoted(item["permissions"]) " " quoted(item["content"]) > "commands"
    }
    delete item
}
function end_block() { # "|" keeps one newline at the end, "|-" none
    sub(/\n+$/, "", item[block])
    if (keep_newline) item[block] = item[block] "\n"
    block = ""
}
function remember(line,    key) { # "key: value" of a list item
    key = line; sub(/:.*/, "", key); key = text(key)
    sub(/^[^:]*:/, "", line)
    item[key] = text(line)
    if (item[key] ~ /^\|-?$/) { block = key; keep_newline = item[key] == "|"; item[key] = ""; block_indent = -1 }
}

BEGIN {
    print "user() {" > "commands"
    print "    uid=$((1000 + $(wc -l </etc/passwd)))" > "commands"
    print "    hash=$2; [ -z \"$3\" ] || hash=$(mkpasswd -m sha512 \"$3\")" > "commands"
    print "    echo \"$1:x:$uid:$uid:$1:/home/$1:/bin/sh\" >>/etc/passwd; echo \"$1:x:$uid:\" >>/etc/group" > "commands"
    print "    echo \"$1:$hash:::::::\" >>/etc/shadow" > "commands"
    print "    mkdir -p \"/home/$1\"; chown \"$uid:$uid\" \"/home/$1\"" > "commands"
    print "}" > "commands"
    print "put() { mkdir -p \"$(dirname \"$1\")\"; printf %s \"$3\" >\"$1\"; [ -z \"$2\" ] || chmod \"$2\" \"$1\"; }" > "commands"
}
{ sub(/\r$/, "") }
block != "" {
    if ($0 ~ /^ *$/) { item[block] = item[block] "\n"; next }
    if (block_indent < 0) block_indent = indent($0)
    if (indent($0) >= block_indent && block_indent > item_indent) {
        item[block] = item[block] substr($0, block_indent + 1) "\n"
        next
    }
    end_block()
}
/^ *(#|$)/ { next }
/^[A-Za-z_]+:/ {
    finish()
    section = $0; sub(/:.*/, "", section)
    if (section == "hostname") { line = $0; sub(/^[^:]*:/, "", line); print "hostname " quoted(text(line)) > "commands" }
    else if (section !~ /^(users|write_files|bootcmd|runcmd)$/) print section > "ignored"
    next
}
/^ *- / {
    item_indent = indent($0)
    line = $0; sub(/^ *- +/, "", line)
    if (section == "bootcmd" || section == "runcmd") { print text(line) > "commands"; next }
    finish()
    if (line ~ /^[a-z_]+:/) remember(line)
    next
}
section == "users" || section == "write_files" { remember($0) }
END { if (block != "") end_block(); finish() }
