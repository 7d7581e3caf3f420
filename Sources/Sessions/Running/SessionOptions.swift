package import ChimeraWebSocket
internal import Glibc

/// What becomes of what a program writes to standard error.
package enum ErrorOutput: String, CaseIterable, Sendable {
    /// Its lines stand in the gateway's own log.
    case log
    /// The client gets it as it gets standard output.
    case inline
    case off
}

/// How a session runs, whatever its program is.
package struct SessionOptions: Equatable, Sendable {
    package var framing = Framing.lines
    package var errorOutput = ErrorOutput.log
    /// Octets of a client's message.
    package var messageBytesMax = 1 << 20
    /// Milliseconds of silence behind which the client is asked whether it is there; nil for never.
    package var pingAfter: Int64? = 30_000
    /// How long it has to answer.
    package var pongWithin: Int64? = 20_000
    /// Milliseconds without a message either way; nil for no bound.
    package var idleMax: Int64?
    /// Milliseconds for all of it; nil for no bound.
    package var lifeMax: Int64?
    /// Without progress in sending to the client.
    package var sendMax: Int64? = 30_000
    package var ending = EndingDelays()
    /// The signals that a client may send.
    package var signals: Set<Int32> = [SIGINT, SIGTERM, SIGHUP, SIGQUIT]

    package init() {}
}

/// What a client is told of a program's end: 1000 where it exited with 0, 4001 to 4255 with its exit status, 4300 and more
/// with its signal.
package struct ProgramFarewell: Equatable, Sendable {
    package var status: CloseStatus
    package var reason: String

    package init(_ end: ProgramEnd) {
        switch end {
        case .exited(0):
            status = .normal
            reason = "exit status 0"
        case .exited(let number):
            status = CloseStatus(rawValue: UInt16(4000 + min(255, max(1, number))))
            reason = "exit status \(number)"
        case .signalled(let number):
            status = CloseStatus(rawValue: UInt16(4300 + min(99, max(0, number))))
            reason = "signal \(number)"
        case .unknown:
            status = .serviceRestart
            reason = "the program was ended"
        }
    }
}

/// What a session came to.
package enum SessionEnd: Equatable, Sendable {
    /// The program ended, and the client was told.
    case program(ProgramEnd)
    /// The client ended it, with its status.
    case client(CloseStatus?)
    /// The client broke the protocol.
    case failure(ConnectionFailure)
    /// The client went without a word.
    case lost
    case idle
    case life
    case unanswered
    case sendTimeout
    case draining
    /// The operator ended it.
    case operatorAsked
    /// Another client presented its token.
    case takenOver
    /// It could not follow what all clients get.
    case tooSlow
    /// The program is another process's to serve.
    case handedOver

    /// Without what belongs to the one session.
    package enum Reason: Int, CaseIterable, Sendable {
        case program, client, failure, lost, idle, life, unanswered, sendTimeout, draining, operatorAsked,
            takenOver
        case tooSlow, handedOver

        /// The token in the log and in metrics.
        package var token: StaticString {
            switch self {
            case .program: "program"
            case .client: "client"
            case .failure: "protocol"
            case .lost: "lost"
            case .idle: "idle"
            case .life: "life"
            case .unanswered: "ping"
            case .sendTimeout: "send"
            case .draining: "draining"
            case .operatorAsked: "operator"
            case .takenOver: "taken-over"
            case .tooSlow: "slow"
            case .handedOver: "handed-over"
            }
        }
    }

    package var reason: Reason {
        switch self {
        case .program: .program
        case .client: .client
        case .failure: .failure
        case .lost: .lost
        case .idle: .idle
        case .life: .life
        case .unanswered: .unanswered
        case .sendTimeout: .sendTimeout
        case .draining: .draining
        case .operatorAsked: .operatorAsked
        case .takenOver: .takenOver
        case .tooSlow: .tooSlow
        case .handedOver: .handedOver
        }
    }

    package var token: StaticString { reason.token }
}

extension CloseStatus {
    /// No program is kept for the token that the client presents: it has ended, or never was there, or is not this
    /// client's.
    package static let noSuchSession = CloseStatus(rawValue: 4400)
    /// Another client has presented the token.
    package static let takenOver = CloseStatus(rawValue: 4401)
    /// The client does not take what all clients of a program get.
    package static let tooSlow = CloseStatus(rawValue: 4402)
}
