package import ChimeraBytes

/// The percent encoding of RFC 3986 §2.1.
package enum PercentEncoding {
    /// Appends `bytes`, each octet that is not in `allowed` as an escape with capital digits.
    ///
    /// - Parameter allowed: for a whole path ``ByteSet/path``, for one segment or a value
    ///   ``ByteSet/unreserved``.
    package static func append(_ bytes: Span<UInt8>, allowing allowed: ByteSet, to output: inout [UInt8]) {
        for index in 0..<bytes.count {
            let byte = bytes[index]
            if allowed.contains(byte) {
                output.append(byte)
            } else {
                output.append(UInt8(ascii: "%"))
                output.append(digit(byte >> 4))
                output.append(digit(byte & 0xF))
            }
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? value + UInt8(ascii: "0") : value - 10 + UInt8(ascii: "A")
    }
}
