# shellcheck shell=bash
# How a Java is put together from the modules of a JDK, for images and for the plugin of kubectl. Source it;
# it does nothing by itself. JDK must be set.

# Links a Java, with nothing of what only a desktop wants.
link_java() { # FOLDER MODULES STRIP [JLINK_ARGUMENT...]
  local folder=$1 modules=$2 strip=$3
  shift 3
  "$JDK/bin/jlink" "$@" --add-modules "$modules" --output "$folder" \
    "$strip" --no-header-files --no-man-pages --compress zip-6 2>&1 | grep -v 'incubator' >&2 || true
  [ -x "$folder/bin/java" ] || { printf 'error: jlink of %s made no Java in %s\n' "$JDK" "$folder" >&2; exit 1; }
  # Debian's JDK comes with 700 MB of symbols, and with windows, fonts, pictures and sound
  # that want libraries which no server has.
  find "$folder" -name '*.debuginfo' -delete
  rm -f "$folder"/lib/lib{awt_xawt,fontmanager,freetype,harfbuzz,javajpeg,jawt,jsound,lcms,splashscreen}.so
}

# Class data sharing, for a quicker start; only the processors that it is for can make it.
share_classes() { # FOLDER
  "$1/bin/java" -XX:+UseG1GC -Xshare:dump >/dev/null
}
