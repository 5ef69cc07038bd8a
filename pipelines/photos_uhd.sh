#!/bin/sh
# Copies free photographs of up to 16 megapixels from Debian's packages into the folder $1, and installs nothing.
# The folder of each package gets its copyright file, with authors and licences (CC-BY, CC-BY-SA, CC0, GPL).
set -eu
target=${1:?usage: photos_uhd.sh FOLDER}
for tool in apt-get dpkg-deb; do
  command -v "$tool" > /dev/null || { echo "error: $tool is missing, which gets photographs from Debian's packages: bring your own photographs" >&2; exit 1; }
done
mkdir -p "$target/.packages"
work=$(cd "$target/.packages" && pwd)
found=0
for package in lomiri-wallpapers-16.04 budgie-backgrounds mate-backgrounds; do
  if ! (cd "$work" && ls "$package"_*.deb > /dev/null 2>&1 || apt-get download -qq "$package" 2> "$work/$package.log"); then
    echo "left out: $package ($(grep '^E:' "$work/$package.log" | head -1))"
    continue
  fi
  rm -rf "${work:?}/$package" "${target:?}/$package"
  dpkg-deb -x "$work/$package"_*.deb "$work/$package"
  mkdir -p "$target/$package"
  # mate's other folders have drawings
  find "$work/$package/usr/share/backgrounds" -type f \( -name '*.jpg' -o -name '*.jpeg' -o -name '*.webp' \) \
    ! -path '*/mate/abstract/*' ! -path '*/mate/desktop/*' -exec cp {} "$target/$package/" \;
  cp "$work/$package/usr/share/doc/$package/copyright" "$target/$package/"
  rm -rf "${work:?}/$package"
  count=$(find "$target/$package" -type f ! -name copyright | wc -l)
  echo "$package: $count pictures in $target/$package"
  found=$((found + count))
done
[ "$found" -gt 0 ] || { echo "error: no package could be downloaded: run apt-get update, or bring your own photographs" >&2; exit 1; }
echo "name the folder in params.yaml: photos: {folders: [{root: $target}]}"
