// Written by Tools/generate/mime_types.py from mime-types.txt; change those, not this file.

internal import ChimeraBytes

extension MediaTypes {
    /// How many extensions the table has.
    package static var count: Int { 405 }

    /// The type for an extension in small letters, packed with its first octet lowest.
    static func type(packed key: UInt64) -> StaticString? {
        switch key {
        case 0x6D6F7461:  // atom
            "application/atom+xml"
        case 0x726F6263:  // cbor
            "application/cbor"
        case 0x6F696D6463:  // cdmio
            "application/cdmi-object"
        case 0x64706D:  // mpd
            "application/dash+xml"
        case 0x62757065:  // epub
            "application/epub+zip"
        case 0x6E6F736A6F6567:  // geojson
            "application/geo+json"
        case 0x787067:  // gpx
            "application/gpx+xml"
        case 0x6C7167, 0x6C716870617267:  // gql graphql
            "application/graphql"
        case 0x7A67, 0x7A6774:  // gz tgz
            "application/gzip"
        case 0x726165, 0x72616A, 0x726177:  // ear jar war
            "application/java-archive"
        case 0x7373616C63:  // class
            "application/java-vm"
        case 0x70616D, 0x6E6F736A, 0x6E6F736A6F706F74:  // map json topojson
            "application/json"
        case 0x356E6F736A:  // json5
            "application/json5"
        case 0x646C6E6F736A:  // jsonld
            "application/ld+json"
        case 0x6C6D6D, 0x6C6D6874616D:  // mml mathml
            "application/mathml+xml"
        case 0x786F626D:  // mbox
            "application/mbox"
        case 0x346174656D:  // meta4
            "application/metalink4+xml"
        case 0x7334706D:  // mp4s
            "application/mp4"
        case 0x636F64, 0x746F64:  // doc dot
            "application/msword"
        case 0x716E:  // nq
            "application/n-quads"
        case 0x746E:  // nt
            "application/n-triples"
        case 0x61, 0x6F, 0x6F73, 0x62696C,
            0x676B70, 0x676D69, 0x6E6962, 0x746164,
            0x706D7564, 0x74726170, 0x62696C7964:  // a o so lib pkg img bin dat dump part dylib
            "application/octet-stream"
        case 0x78676F:  // ogx
            "application/ogg"
        case 0x7864736F:  // osdx
            "application/opensearchdescription+xml"
        case 0x7370786F:  // oxps
            "application/oxps"
        case 0x666470:  // pdf
            "application/pdf"
        case 0x677067, 0x706770:  // gpg pgp
            "application/pgp-encrypted"
        case 0x676973:  // sig
            "application/pgp-signature"
        case 0x303170, 0x727363:  // p10 csr
            "application/pkcs10"
        case 0x633770, 0x6D3770:  // p7c p7m
            "application/pkcs7-mime"
        case 0x733770:  // p7s
            "application/pkcs7-signature"
        case 0x726563:  // cer
            "application/pkix-cert"
        case 0x6C7263:  // crl
            "application/pkix-crl"
        case 0x6961, 0x7370, 0x737065:  // ai ps eps
            "application/postscript"
        case 0x6270, 0x6F746F7270:  // pb proto
            "application/protobuf"
        case 0x666472, 0x6C776F:  // rdf owl
            "application/rdf+xml"
        case 0x737372:  // rss
            "application/rss+xml"
        case 0x667472:  // rtf
            "application/rtf"
        case 0x616D65686373:  // schema
            "application/schema+json"
        case 0x696D73, 0x6C696D73:  // smi smil
            "application/smil+xml"
        case 0x6C7173:  // sql
            "application/sql"
        case 0x717374:  // tsq
            "application/timestamp-query"
        case 0x727374:  // tsr
            "application/timestamp-reply"
        case 0x6C6D6F74:  // toml
            "application/toml"
        case 0x67697274:  // trig
            "application/trig"
        case 0x6C6D7474, 0x70786664:  // ttml dfxp
            "application/ttml+xml"
        case 0x777A61:  // azw
            "application/vnd.amazon.ebook"
        case 0x6B7061:  // apk
            "application/vnd.android.package-archive"
        case 0x776F727261:  // arrow
            "application/vnd.apache.arrow.file"
        case 0x74657571726170:  // parquet
            "application/vnd.apache.parquet"
        case 0x79656B:  // key
            "application/vnd.apple.keynote"
        case 0x3875336D:  // m3u8
            "application/vnd.apple.mpegurl"
        case 0x737265626D756E:  // numbers
            "application/vnd.apple.numbers"
        case 0x7365676170:  // pages
            "application/vnd.apple.pages"
        case 0x626564, 0x62656475:  // deb udeb
            "application/vnd.debian.binary-package"
        case 0x6C6D6B:  // kml
            "application/vnd.google-earth.kml+xml"
        case 0x7A6D6B:  // kmz
            "application/vnd.google-earth.kmz"
        case 0x6C7578:  // xul
            "application/vnd.mozilla.xul+xml"
        case 0x626163:  // cab
            "application/vnd.ms-cab-compressed"
        case 0x6D6C78, 0x736C78, 0x746C78:  // xlm xls xlt
            "application/vnd.ms-excel"
        case 0x6D736C78:  // xlsm
            "application/vnd.ms-excel.sheet.macroenabled.12"
        case 0x746F65:  // eot
            "application/vnd.ms-fontobject"
        case 0x67736D:  // msg
            "application/vnd.ms-outlook"
        case 0x737070, 0x746F70, 0x747070:  // pps pot ppt
            "application/vnd.ms-powerpoint"
        case 0x6D747070:  // pptm
            "application/vnd.ms-powerpoint.presentation.macroenabled.12"
        case 0x70706D:  // mpp
            "application/vnd.ms-project"
        case 0x6D636F64:  // docm
            "application/vnd.ms-word.document.macroenabled.12"
        case 0x737078:  // xps
            "application/vnd.ms-xpsdocument"
        case 0x63646F:  // odc
            "application/vnd.oasis.opendocument.chart"
        case 0x62646F:  // odb
            "application/vnd.oasis.opendocument.database"
        case 0x66646F:  // odf
            "application/vnd.oasis.opendocument.formula"
        case 0x67646F:  // odg
            "application/vnd.oasis.opendocument.graphics"
        case 0x70646F:  // odp
            "application/vnd.oasis.opendocument.presentation"
        case 0x70746F:  // otp
            "application/vnd.oasis.opendocument.presentation-template"
        case 0x73646F:  // ods
            "application/vnd.oasis.opendocument.spreadsheet"
        case 0x73746F:  // ots
            "application/vnd.oasis.opendocument.spreadsheet-template"
        case 0x74646F:  // odt
            "application/vnd.oasis.opendocument.text"
        case 0x74746F:  // ott
            "application/vnd.oasis.opendocument.text-template"
        case 0x78747070:  // pptx
            "application/vnd.openxmlformats-officedocument.presentationml.presentation"
        case 0x78737070:  // ppsx
            "application/vnd.openxmlformats-officedocument.presentationml.slideshow"
        case 0x78746F70:  // potx
            "application/vnd.openxmlformats-officedocument.presentationml.template"
        case 0x78736C78:  // xlsx
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        case 0x78746C78:  // xltx
            "application/vnd.openxmlformats-officedocument.spreadsheetml.template"
        case 0x78636F64:  // docx
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
        case 0x78746F64:  // dotx
            "application/vnd.openxmlformats-officedocument.wordprocessingml.template"
        case 0x726172:  // rar
            "application/vnd.rar"
        case 0x647376, 0x747376:  // vsd vst
            "application/vnd.visio"
        case 0x636C6D77:  // wmlc
            "application/vnd.wap.wmlc"
        case 0x6D736177:  // wasm
            "application/wasm"
        case 0x7A37:  // 7z
            "application/x-7z-compressed"
        case 0x676D64:  // dmg
            "application/x-apple-diskimage"
        case 0x746E6572726F74:  // torrent
            "application/x-bittorrent"
        case 0x7262:  // br
            "application/x-brotli"
        case 0x327A62, 0x7A6274, 0x327A6274:  // bz2 tbz tbz2
            "application/x-bzip2"
        case 0x787263:  // crx
            "application/x-chrome-extension"
        case 0x7A:  // z
            "application/x-compress"
        case 0x6F697063:  // cpio
            "application/x-cpio"
        case 0x697664:  // dvi
            "application/x-dvi"
        case 0x3568, 0x35666468:  // h5 hdf5
            "application/x-hdf5"
        case 0x706870, 0x6C6D746870:  // php phtml
            "application/x-httpd-php"
        case 0x626E797069:  // ipynb
            "application/x-ipynb+json"
        case 0x6F7369:  // iso
            "application/x-iso9660-image"
        case 0x6666696472616A:  // jardiff
            "application/x-java-archive-diff"
        case 0x706C6E6A:  // jnlp
            "application/x-java-jnlp-file"
        case 0x786574616C:  // latex
            "application/x-latex"
        case 0x7A6C:  // lz
            "application/x-lzip"
        case 0x616D7A6C:  // lzma
            "application/x-lzma"
        case 0x637270, 0x69626F6D:  // prc mobi
            "application/x-mobipocket-ebook"
        case 0x7869736D, 0x78707061:  // msix appx
            "application/x-ms-application"
        case 0x657865, 0x6C6C64, 0x6D6F63:  // exe dll com
            "application/x-msdownload"
        case 0x69736D:  // msi
            "application/x-msi"
        case 0x6C6E6F736A, 0x6E6F736A646E:  // jsonl ndjson
            "application/x-ndjson"
        case 0x636E, 0x666463:  // nc cdf
            "application/x-netcdf"
        case 0x6C70, 0x6D70:  // pl pm
            "application/x-perl"
        case 0x323170, 0x786670:  // p12 pfx
            "application/x-pkcs12"
        case 0x6D707273:  // srpm
            "application/x-redhat-package-manager"
        case 0x6D7072:  // rpm
            "application/x-rpm"
        case 0x6873:  // sh
            "application/x-sh"
        case 0x667773:  // swf
            "application/x-shockwave-flash"
        case 0x6264, 0x6574696C7173, 0x336574696C7173:  // db sqlite sqlite3
            "application/x-sqlite3"
        case 0x746973:  // sit
            "application/x-stuffit"
        case 0x747273:  // srt
            "application/x-subrip"
        case 0x726174:  // tar
            "application/x-tar"
        case 0x6B74, 0x6C6374:  // tk tcl
            "application/x-tcl"
        case 0x69786574, 0x6F666E69786574:  // texi texinfo
            "application/x-texinfo"
        case 0x6D6570, 0x726564, 0x747263:  // pem der crt
            "application/x-x509-ca-cert"
        case 0x697078:  // xpi
            "application/x-xpinstall"
        case 0x7A78, 0x7A7874:  // xz txz
            "application/x-xz"
        case 0x746878, 0x6C6D746878:  // xht xhtml
            "application/xhtml+xml"
        case 0x647378, 0x676E72, 0x6C6D78, 0x6C7378:  // xsd rng xml xsl
            "application/xml"
        case 0x647464:  // dtd
            "application/xml-dtd"
        case 0x746C7378:  // xslt
            "application/xslt+xml"
        case 0x66707378:  // xspf
            "application/xspf+xml"
        case 0x6C6D79, 0x6C6D6179:  // yml yaml
            "application/yaml"
        case 0x70697A:  // zip
            "application/zip"
        case 0x74737A:  // zst
            "application/zstd"
        case 0x636161:  // aac
            "audio/aac"
        case 0x336361:  // ac3
            "audio/ac3"
        case 0x726D61:  // amr
            "audio/amr"
        case 0x7561, 0x646E73:  // au snd
            "audio/basic"
        case 0x63616C66:  // flac
            "audio/flac"
        case 0x64696D, 0x696D72, 0x72616B, 0x6964696D:  // mid rmi kar midi
            "audio/midi"
        case 0x6D78, 0x646F6D, 0x6D3373:  // xm mod s3m
            "audio/mod"
        case 0x61346D, 0x62346D, 0x6134706D:  // m4a m4b mp4a
            "audio/mp4"
        case 0x32706D, 0x33706D, 0x6167706D:  // mp2 mp3 mpga
            "audio/mpeg"
        case 0x61676F, 0x67676F, 0x787073, 0x7375706F:  // oga ogg spx opus
            "audio/ogg"
        case 0x766177, 0x65766177:  // wav wave
            "audio/wav"
        case 0x61626577:  // weba
            "audio/webm"
        case 0x666961, 0x63666961, 0x66666961:  // aif aifc aiff
            "audio/x-aiff"
        case 0x666163:  // caf
            "audio/x-caf"
        case 0x616B6D:  // mka
            "audio/x-matroska"
        case 0x75336D:  // m3u
            "audio/x-mpegurl"
        case 0x616D77:  // wma
            "audio/x-ms-wma"
        case 0x6172:  // ra
            "audio/x-realaudio"
        case 0x637474:  // ttc
            "font/collection"
        case 0x66746F:  // otf
            "font/otf"
        case 0x667474:  // ttf
            "font/ttf"
        case 0x66666F77:  // woff
            "font/woff"
        case 0x3266666F77:  // woff2
            "font/woff2"
        case 0x727865:  // exr
            "image/aces"
        case 0x676E7061:  // apng
            "image/apng"
        case 0x66697661, 0x7366697661:  // avif avifs
            "image/avif"
        case 0x626964, 0x706D62:  // dib bmp
            "image/bmp"
        case 0x666967:  // gif
            "image/gif"
        case 0x63696568:  // heic
            "image/heic"
        case 0x66696568:  // heif
            "image/heif"
        case 0x32706A, 0x3267706A:  // jp2 jpg2
            "image/jp2"
        case 0x65706A, 0x67706A, 0x6669666A, 0x6765706A:  // jpe jpg jfif jpeg
            "image/jpeg"
        case 0x6D706A:  // jpm
            "image/jpm"
        case 0x66706A, 0x78706A:  // jpf jpx
            "image/jpx"
        case 0x6C786A:  // jxl
            "image/jxl"
        case 0x78746B:  // ktx
            "image/ktx"
        case 0x3278746B:  // ktx2
            "image/ktx2"
        case 0x676E70:  // png
            "image/png"
        case 0x677673, 0x7A677673:  // svg svgz
            "image/svg+xml"
        case 0x666974, 0x66666974:  // tif tiff
            "image/tiff"
        case 0x647370:  // psd
            "image/vnd.adobe.photoshop"
        case 0x766A64, 0x75766A64:  // djv djvu
            "image/vnd.djvu"
        case 0x736464:  // dds
            "image/vnd.ms-dds"
        case 0x726468:  // hdr
            "image/vnd.radiance"
        case 0x706D6277:  // wbmp
            "image/vnd.wap.wbmp"
        case 0x70626577:  // webp
            "image/webp"
        case 0x676E64:  // dng
            "image/x-adobe-dng"
        case 0x327263:  // cr2
            "image/x-canon-cr2"
        case 0x6F6369, 0x727563:  // ico cur
            "image/x-icon"
        case 0x676E6A:  // jng
            "image/x-jng"
        case 0x66656E:  // nef
            "image/x-nikon-nef"
        case 0x6D6E70:  // pnm
            "image/x-portable-anymap"
        case 0x6D6270:  // pbm
            "image/x-portable-bitmap"
        case 0x6D6770:  // pgm
            "image/x-portable-graymap"
        case 0x6D7070:  // ppm
            "image/x-portable-pixmap"
        case 0x616774:  // tga
            "image/x-tga"
        case 0x6D6278:  // xbm
            "image/x-xbitmap"
        case 0x6D7078:  // xpm
            "image/x-xpixmap"
        case 0x6C6D65, 0x74686D, 0x6C6D74686D:  // eml mht mhtml
            "message/rfc822"
        case 0x666D33:  // 3mf
            "model/3mf"
        case 0x66746C67:  // gltf
            "model/gltf+json"
        case 0x626C67:  // glb
            "model/gltf-binary"
        case 0x736769, 0x73656769:  // igs iges
            "model/iges"
        case 0x6C746D:  // mtl
            "model/mtl"
        case 0x6A626F:  // obj
            "model/obj"
        case 0x707473, 0x70657473:  // stp step
            "model/step"
        case 0x6C7473:  // stl
            "model/stl"
        case 0x656164:  // dae
            "model/vnd.collada+xml"
        case 0x7A647375:  // usdz
            "model/vnd.usdz+zip"
        case 0x6C7277, 0x6C6D7276:  // wrl vrml
            "model/vrml"
        case 0x6568636163707061, 0x74736566696E616D:  // appcache manifest
            "text/cache-manifest; charset=utf-8"
        case 0x626669, 0x736369:  // ifb ics
            "text/calendar; charset=utf-8"
        case 0x737363:  // css
            "text/css; charset=utf-8"
        case 0x767363:  // csv
            "text/csv; charset=utf-8"
        case 0x6D7468, 0x6C6D7468, 0x6C6D746873:  // htm html shtml
            "text/html; charset=utf-8"
        case 0x736A, 0x736A63, 0x736A6D:  // js cjs mjs
            "text/javascript; charset=utf-8"
        case 0x78736A:  // jsx
            "text/jsx; charset=utf-8"
        case 0x646D, 0x646B6D, 0x6E776F646B72616D:  // md mkd markdown
            "text/markdown; charset=utf-8"
        case 0x336E:  // n3
            "text/n3; charset=utf-8"
        case 0x6E69, 0x637361, 0x666564, 0x676663,
            0x676F6C, 0x696E69, 0x747874, 0x666E6F63,
            0x7473696C, 0x74786574:  // in asc def cfg log ini txt conf list text
            "text/plain; charset=utf-8"
        case 0x787472:  // rtx
            "text/richtext"
        case 0x6D6773, 0x6C6D6773:  // sgm sgml
            "text/sgml"
        case 0x767374:  // tsv
            "text/tab-separated-values; charset=utf-8"
        case 0x656D, 0x736D, 0x6E616D, 0x66666F72:  // me ms man roff
            "text/troff"
        case 0x6C7474:  // ttl
            "text/turtle; charset=utf-8"
        case 0x697275, 0x73697275, 0x736C7275:  // uri uris urls
            "text/uri-list; charset=utf-8"
        case 0x666376, 0x6472616376:  // vcf vcard
            "text/vcard; charset=utf-8"
        case 0x64616A:  // jad
            "text/vnd.sun.j2me.app-descriptor"
        case 0x6C6D77:  // wml
            "text/vnd.wap.wml"
        case 0x747476:  // vtt
            "text/vtt; charset=utf-8"
        case 0x636F6461, 0x636F646969637361:  // adoc asciidoc
            "text/x-asciidoc; charset=utf-8"
        case 0x626962:  // bib
            "text/x-bibtex; charset=utf-8"
        case 0x63, 0x68, 0x6363, 0x6868,
            0x707063, 0x707068, 0x787863:  // c h cc hh cpp hpp cxx
            "text/x-c; charset=utf-8"
        case 0x637468:  // htc
            "text/x-component; charset=utf-8"
        case 0x66666964, 0x6863746170:  // diff patch
            "text/x-diff; charset=utf-8"
        case 0x6F67:  // go
            "text/x-go; charset=utf-8"
        case 0x6176616A:  // java
            "text/x-java-source; charset=utf-8"
        case 0x746B:  // kt
            "text/x-kotlin; charset=utf-8"
        case 0x7373656C:  // less
            "text/x-less; charset=utf-8"
        case 0x61756C:  // lua
            "text/x-lua; charset=utf-8"
        case 0x67726F:  // org
            "text/x-org; charset=utf-8"
        case 0x7970:  // py
            "text/x-python; charset=utf-8"
        case 0x747372:  // rst
            "text/x-rst; charset=utf-8"
        case 0x6272:  // rb
            "text/x-ruby; charset=utf-8"
        case 0x7372:  // rs
            "text/x-rust; charset=utf-8"
        case 0x73736173:  // sass
            "text/x-sass; charset=utf-8"
        case 0x616C616373:  // scala
            "text/x-scala; charset=utf-8"
        case 0x73736373:  // scss
            "text/x-scss; charset=utf-8"
        case 0x7466697773:  // swift
            "text/x-swift; charset=utf-8"
        case 0x736C63, 0x786574, 0x78746C, 0x797473:  // cls tex ltx sty
            "text/x-tex; charset=utf-8"
        case 0x787374:  // tsx
            "text/x-typescript; charset=utf-8"
        case 0x657576:  // vue
            "text/x-vue; charset=utf-8"
        case 0x706733, 0x70706733:  // 3gp 3gpp
            "video/3gpp"
        case 0x326733:  // 3g2
            "video/3gpp2"
        case 0x34363268:  // h264
            "video/h264"
        case 0x73346D:  // m4s
            "video/iso.segment"
        case 0x7667706A:  // jpgv
            "video/jpeg"
        case 0x7374, 0x73746D, 0x7374326D:  // ts mts m2ts
            "video/mp2t"
        case 0x34706D, 0x76346D, 0x3467706D, 0x7634706D:  // mp4 m4v mpg4 mp4v
            "video/mp4"
        case 0x65706D, 0x67706D, 0x76316D, 0x76326D,
            0x6765706D:  // mpe mpg m1v m2v mpeg
            "video/mpeg"
        case 0x76676F:  // ogv
            "video/ogg"
        case 0x7471, 0x766F6D:  // qt mov
            "video/quicktime"
        case 0x6D626577:  // webm
            "video/webm"
        case 0x763466:  // f4v
            "video/x-f4v"
        case 0x766C66:  // flv
            "video/x-flv"
        case 0x736B6D, 0x766B6D, 0x64336B6D:  // mks mkv mk3d
            "video/x-matroska"
        case 0x676E6D:  // mng
            "video/x-mng"
        case 0x667361, 0x787361:  // asf asx
            "video/x-ms-asf"
        case 0x766D77:  // wmv
            "video/x-ms-wmv"
        case 0x697661:  // avi
            "video/x-msvideo"
        default: nil
        }
    }

    /// The type for an extension of more than eight octets, in any case.
    static func type(long text: Span<UInt8>) -> StaticString? {
        if text.equalsIgnoringCase("webmanifest") { return "application/manifest+json" }
        return nil
    }
}
