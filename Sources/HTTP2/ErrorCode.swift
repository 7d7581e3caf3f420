/// Why a stream or a connection ends (RFC 9113 §7). One that is not registered is treated as INTERNAL_ERROR.
package enum ErrorCode: UInt32, CaseIterable, Sendable {
    case noError, protocolError, internalError, flowControlError, settingsTimeout, streamClosed,
        frameSizeError
    case refusedStream, cancel, compressionError, connectError, enhanceYourCalm, inadequateSecurity
    case http11Required

    package init(code: UInt32) { self = ErrorCode(rawValue: code) ?? .internalError }
}
