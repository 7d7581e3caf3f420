/// What a peer did against the protocol or against our patience: each once, with the code that it is told and the
/// token for log, counters and the debug data of GOAWAY.
///
/// Whether it ends the stream or the connection is said where it is found: a stream ends by `Event.streamFailed`, a
/// connection by `Event.failed`.
package enum Violation: UInt8, CaseIterable, Sendable, Error {
    // The beginning, RFC 9113 §3.4.
    case prefaceWrong, firstFrameNotSettings
    // Frames, RFC 9113 §4 and §6.
    case frameTooLarge, frameSizeWrong, paddingTooLong, streamZero, streamNotZero, streamIdle, streamClosed
    case streamIdentifierUnexpected, continuationUnexpected, continuationMissing, pushRefused
    case settingsAckWithPayload, settingInvalid, initialWindowTooLarge
    case goAwayIncreased, priorityUpdateMisplaced, streamsPrioritizedTooMany
    // Field blocks, RFC 7541.
    case blockCut, integerTooLarge, indexUnknown, codeBroken, resizeRefused
    // Flow control, RFC 9113 §5.2 and §6.9.
    case windowExceeded, windowOverflow, windowUpdateZero
    // Messages, RFC 9113 §8.
    case fieldMalformed, fieldConnectionSpecific, teNotTrailers
    case pseudoUnknown, pseudoRepeated, pseudoMisplaced, pseudoMissing, pseudoSuperfluous
    case methodMalformed, schemeMalformed, pathMalformed, authorityMalformed, authorityMissing, hostDiffers
    case lengthMalformed, lengthMismatched, trailersUnfinished, trailersTooLarge
    // Answers, RFC 9113 §8.1, §8.3.2, §8.5 and §8.6.
    case statusMalformed, protocolSwitched, interimHeadEnds, headMissing, tunnelInterrupted
    // What is within the rules and beyond our bounds, RFC 9113 §10.5.
    case tooManyStreams, blockTooLarge, tooManyContinuations, tooManySettings, tooManyInterimHeads
    case resetFlood, settingsFlood, pingFlood, emptyDataFlood, windowUpdateFlood, priorityFlood,
        unknownFrameFlood
    case outputStalled

    /// The code for RST_STREAM or GOAWAY.
    package var code: ErrorCode {
        switch self {
        case .frameTooLarge, .frameSizeWrong, .settingsAckWithPayload: .frameSizeError
        case .streamClosed: .streamClosed
        case .initialWindowTooLarge, .windowExceeded, .windowOverflow: .flowControlError
        case .blockCut, .integerTooLarge, .indexUnknown, .codeBroken, .resizeRefused: .compressionError
        case .tooManyStreams: .refusedStream
        case .trailersTooLarge, .blockTooLarge, .tooManyContinuations, .tooManySettings, .tooManyInterimHeads,
            .resetFlood, .settingsFlood, .pingFlood, .emptyDataFlood, .windowUpdateFlood, .priorityFlood,
            .unknownFrameFlood,
            .outputStalled:
            .enhanceYourCalm
        default: .protocolError
        }
    }

    /// The token in logs and metrics.
    package var token: String {
        var token = ""
        for character in "\(self)" {
            if character.isUppercase { token += "-" }
            token += character.lowercased()
        }
        return token
    }

    init(_ problem: CompressionProblem) {
        switch problem {
        case .cut: self = .blockCut
        case .integerTooLarge: self = .integerTooLarge
        case .indexUnknown: self = .indexUnknown
        case .codeBroken: self = .codeBroken
        case .resizeRefused: self = .resizeRefused
        }
    }
}
