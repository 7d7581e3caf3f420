internal import ChimeraBytes
internal import ChimeraHTTPCore

/// Several parts of a file as `multipart/byteranges` (RFC 9110 §14.6).
package final class FileParts {
    let variant: FileVariant
    let ranges: [Range<Int>]
    /// What goes before each part, and what goes after the last.
    let separators: [Blob]
    /// The value of the response's `Content-Type`.
    let contentType: Blob
    /// How many bytes the body has.
    package let count: Int

    /// - Parameter contentType: of the file.
    init(_ variant: FileVariant, _ ranges: [Range<Int>], contentType: StaticString) {
        self.variant = variant
        self.ranges = ranges
        // A client looks for the boundary in content that it does not control; 128 random bits are not in
        // there.
        let boundary = (0..<2).map { _ in String(UInt64.random(in: 0 ... .max), radix: 16) }.joined()
        self.contentType = Blob("multipart/byteranges; boundary=\(boundary)")
        var separators = ranges.enumerated().map { index, range in
            let contentRange = String(decoding: ContentRange.value(range, of: variant.size), as: UTF8.self)
            return Blob(
                """
                \(index == 0 ? "" : "\r\n")--\(boundary)\r
                Content-Type: \(contentType)\r
                Content-Range: \(contentRange)\r
                \r\n
                """)
        }
        separators.append(Blob("\r\n--\(boundary)--\r\n"))
        self.separators = separators
        count = separators.reduce(0) { $0 + $1.count } + ranges.reduce(0) { $0 + $1.count }
    }
}
