internal import ChimeraBytes
package import ChimeraHTTPCore

/// What came on a connection.
package enum Event: Equatable, Sendable {
    /// A request, or an answer with its status, which is below 200 for an interim one. The head is in what was given
    /// to be filled, which is its receiver's from now on.
    case head(StreamHandle, endStream: Bool)
    /// A message within the rules and beyond our bounds; as much of its head as was understood is there. A request is to
    /// be answered with the refusal, and the stream of an answer to be reset.
    case headRefused(StreamHandle, Refusal, endStream: Bool)
    /// Content, at this range of the input; it counts against the windows until it is consumed.
    case data(StreamHandle, Range<Int>, endStream: Bool)
    /// The message has ended, without content or trailers in the last frame.
    case end(StreamHandle)
    /// Trailer fields came, which end the message; they are in `trailers` until the next call.
    case trailers(StreamHandle)
    /// The peer gave the stream up, with this code; it is gone. A request that ended with `refusedStream` was not
    /// processed, and may be sent again whatever it asks for (RFC 9113 §8.7).
    case reset(StreamHandle, ErrorCode)
    /// The peer broke a rule on the stream, which was reset; it is gone.
    case streamFailed(StreamHandle, Violation)
    /// A message for which there is no stream was refused or malformed: for log and counters.
    case requestFailed(id: UInt32, Violation)
    /// The peer goes away: a client opens no further streams, a server takes no more than those that go on.
    case goAway(ErrorCode)
    /// The connection has failed. What is unsent goes out, and then it is closed; nothing more is read.
    case failed(Violation)
}

/// What a call of `receive` made of its input.
package struct Received: Equatable, Sendable {
    /// Octets of the input that are done with; the rest is offered again with more behind it.
    package var consumed: Int
    /// Nil where more input is needed.
    package var event: Event?

    package init(consumed: Int, event: Event?) {
        self.consumed = consumed
        self.event = event
    }
}
