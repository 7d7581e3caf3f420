internal import ChimeraBytes

/// The media types of files, by extension. Text that readers would have to guess says `charset=utf-8`.
package enum MediaTypes {
    /// What a file without a known extension is.
    package static var unknown: StaticString { "application/octet-stream" }

    /// The `Content-Type` for an extension without its dot, in any case; nil where it is not known.
    package static func type(ofExtension text: Span<UInt8>) -> StaticString? {
        guard (1...8).contains(text.count) else { return type(long: text) }
        var key: UInt64 = 0
        for index in 0..<text.count {
            key |= UInt64(text[index].lowercased) << UInt64(index * 8)
        }
        return type(packed: key)
    }

    /// The `Content-Type` of the file that a path ends in: by what follows the last dot of its last segment,
    /// unless the segment begins with that dot.
    package static func type(ofPath path: Span<UInt8>) -> StaticString {
        let name = (path.lastIndex(of: .slash) ?? -1) + 1
        guard let dot = path.lastIndex(of: .dot), dot > name else { return unknown }
        return type(ofExtension: path.extracting((dot + 1)..<path.count)) ?? unknown
    }
}
