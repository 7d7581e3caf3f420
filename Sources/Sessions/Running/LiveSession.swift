/// A session that runs, for who asks what is going on.
package protocol LiveSession: AnyObject {
    var program: any SessionProgram { get }
    /// In milliseconds of its worker's clock.
    var startedAt: Int64 { get }
    /// Octets from the client to the program and back, without what they are wrapped in.
    var octetsIn: Int { get }
    var octetsOut: Int { get }

    /// Ends the session, on an operator's word.
    func endByOperator()
}

extension Session: LiveSession {}
