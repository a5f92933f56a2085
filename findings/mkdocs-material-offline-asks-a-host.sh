#!/usr/bin/env bash
# Software   mkdocs-material 9.8.2 with mkdocs 1.6.1, its plugin `offline`.
# Guessed    A site that the plugin builds "for offline use" names no other host in what its pages load.
# Happens    Every page has a script element whose source is at unpkg.com (a shim for the search worker). The same site built without the plugin has
#            none. Without a network the request fails and the page is shown all the same.
# Matters    to whoever ships documentation into a network without internet, or under a content security policy: the plugin that is
#            named for it adds the one request to a third party.
# Output     as seen on 2026-11-30:
#                without offline: 0 scripts from other hosts in index.html
#                with offline:    1 script from other hosts in index.html: https://unpkg.com/iframe-worker/shim
# Needs      Python 3.11. Exit code 1: it behaves otherwise now.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "mkdocs==1.6.1" "mkdocs-material==9.8.2"
mkdir "$folder/docs"
echo "# A page" > "$folder/docs/index.md"
cat > "$folder/plain.yml" <<'END'
site_name: A site
theme:
  name: material
  font: false
plugins:
  - search
END
{ cat "$folder/plain.yml"; echo "  - offline"; } > "$folder/offline.yml"
foreign() {
    NO_MKDOCS_2_WARNING=1 "$folder/venv/bin/mkdocs" build --quiet --config-file "$folder/$1.yml" --site-dir "$folder/$1"
    grep -oE '<script[^>]+src="?https?://[^" >]+' "$folder/$1/index.html" | grep -oE 'https?://.*' || true
}
plain=$(foreign plain)
offline=$(foreign offline)
echo "without offline: $(grep -c . <<< "$plain" || true) scripts from other hosts in index.html"
echo "with offline:    $(grep -c . <<< "$offline" || true) script from other hosts in index.html: $offline"
[ -z "$plain" ] && [ "$offline" = "https://unpkg.com/iframe-worker/shim" ]
