/// A site that the whole process shares: immutable, and the same object for as long as its content is the same, so that
/// whoever built something from it knows by identity that nothing has changed.
@dynamicMemberLookup
package final class SharedSite: Sendable, Equatable {
    package let site: Site

    package init(_ site: Site) {
        self.site = site
    }

    package subscript<Value>(dynamicMember member: KeyPath<Site, Value>) -> Value { site[keyPath: member] }

    /// By identity first, then by content.
    package static func == (left: SharedSite, right: SharedSite) -> Bool {
        left === right || left.site == right.site
    }
}
