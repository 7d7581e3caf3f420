/// A client's connection that was accepted and is not one of HTTP yet, which its worker keeps meanwhile.
protocol Arrival: AnyObject {
    var listener: ListenerFacts { get }
    /// When it was accepted, in milliseconds of the worker's clock.
    var since: Int64 { get }
    /// Something came that was not looked at.
    var hasNews: Bool { get }

    /// It is closed for a new connection.
    func giveWay()

    /// The gateway drains: nothing comes of it.
    func giveUp()
}
