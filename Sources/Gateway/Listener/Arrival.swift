/// A client's connection that was accepted and is not one of HTTP yet, which its worker keeps meanwhile.
protocol Arrival: AnyObject {
    /// The gateway drains: nothing comes of it.
    func giveUp()
}
