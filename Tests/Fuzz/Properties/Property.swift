import Glibc

/// What must hold of a parser for any bytes whatever.
///
/// Two drive it: libFuzzer, with bytes that it makes up, and the unit tests, with the files of `Corpus` and
/// `Regressions`. The raw value names the target and its folders there.
public enum Property: String, CaseIterable, Sendable {
    case request = "http1-request"
    case response = "http1-response"
    case chunked = "http1-chunked"
    case frames = "websocket-frames"
    case messages = "websocket-messages"
    case proxyHeader = "proxy-header"
    case certificate
    case path
    case configuration
    case http2Connection = "http2-connection"
    case http2Answers = "http2-answers"
    case hpack
    case administration
    case taggedStreams = "tagged-streams"

    /// - Returns: what does not hold of these bytes, or nil.
    public func failure(of bytes: [UInt8]) -> String? {
        switch self {
        case .request: requestFailure(bytes)
        case .response: responseFailure(bytes)
        case .chunked: chunkedFailure(bytes)
        case .frames: framesFailure(bytes)
        case .messages: messagesFailure(bytes)
        case .proxyHeader: proxyHeaderFailure(bytes)
        case .certificate: certificateFailure(bytes)
        case .path: pathFailure(bytes)
        case .configuration: configurationFailure(bytes)
        case .http2Connection: http2ConnectionFailure(bytes)
        case .http2Answers: http2AnswersFailure(bytes)
        case .hpack: hpackFailure(bytes)
        case .administration: administrationFailure(bytes)
        case .taggedStreams: taggedStreamsFailure(bytes)
        }
    }

    /// For libFuzzer: says what does not hold of the input and ends the process, which keeps the input.
    public func check(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
        let bytes = [UInt8](UnsafeBufferPointer(start: start, count: start == nil ? 0 : count))
        guard let failure = failure(of: bytes) else { return 0 }
        let line = "\(rawValue): \(failure)\n"
        _ = line.utf8.withContiguousStorageIfAvailable { write(2, $0.baseAddress, $0.count) }
        abort()
    }
}

/// Runs `body` on bytes that end where their memory ends, so that AddressSanitizer sees a read past them.
func withExactMemory<Result>(_ bytes: ArraySlice<UInt8>, _ body: (Span<UInt8>) -> Result) -> Result {
    let memory = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
    defer { memory.deallocate() }
    _ = memory.initialize(fromContentsOf: bytes)
    // Sound: the memory was initialised, and lives until the body has returned.
    return body(Span(_unsafeElements: memory))
}

/// Ways to cut bytes: whole, byte by byte where they are few, and twice in pieces that depend on the bytes alone.
///
/// - Returns: for each way, how many bytes are there at each call; the last is always all of them.
func cuts(_ bytes: [UInt8]) -> [[Int]] {
    var state = bytes.reduce(0x9E37_79B9_7F4A_7C15 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    func next(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(truncatingIfNeeded: state >> 33) % bound
    }
    var ways = [[bytes.count]]
    if (1...100).contains(bytes.count) { ways.append(Array(1...bytes.count)) }
    for size in [3, 40] {
        var ends: [Int] = []
        var end = 0
        while end < bytes.count {
            end = min(bytes.count, end + 1 + next(size))
            ends.append(end)
        }
        ways.append(ends)
    }
    return ways
}
