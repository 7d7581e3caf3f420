/// The order in which routes are tried and settings blocks add up: the one place that knows "most specific first".
///
/// Segment by segment: literal, then `*.ext` (the longer first), then `{name}`, then a pattern that has ended, then `*`;
/// after that the number of matchers, then a named method. What is left equal goes by file order.
package struct Specificity: Sendable, Comparable {
    package let pattern: PathPattern
    package let matchers: Int
    package let namesMethod: Bool

    package init(pattern: PathPattern, matchers: Int, namesMethod: Bool) {
        self.pattern = pattern
        self.matchers = matchers
        self.namesMethod = namesMethod
    }

    /// True if `lhs` is tried before `rhs`: smaller is more specific.
    package static func < (lhs: Self, rhs: Self) -> Bool { lhs.order(rhs) < 0 }

    /// Equal patterns match the same paths: the names of captures do not count.
    package static func == (lhs: Self, rhs: Self) -> Bool { lhs.order(rhs) == 0 }

    private func order(_ other: Specificity) -> Int {
        let byPattern = pattern.order(other.pattern)
        if byPattern != 0 { return byPattern }
        if matchers != other.matchers { return matchers > other.matchers ? -1 : 1 }
        if namesMethod != other.namesMethod { return namesMethod ? -1 : 1 }
        return 0
    }
}

extension PathPattern {
    /// Negative if this pattern is more specific than `other`, 0 if both match the same paths. Patterns that share no
    /// path have a fixed order as well, so that the order is total.
    package func order(_ other: PathPattern) -> Int {
        for index in 0..<max(segments.count, other.segments.count) {
            let mine = rank(at: index)
            let theirs = other.rank(at: index)
            if mine != theirs { return mine < theirs ? -1 : 1 }
            let bySegment = Self.order(segments[index], other.segments[index])
            if bySegment != 0 { return bySegment }
        }
        return 0
    }

    private func rank(at index: Int) -> Int {
        guard index < segments.count else { return 3 }
        switch segments[index] {
        case .literal: return 0
        case .fileExtension: return 1
        case .capture: return 2
        case .rest: return 4
        }
    }

    private static func order(_ lhs: Segment, _ rhs: Segment) -> Int {
        switch (lhs, rhs) {
        case (.literal(let left), .literal(let right)) where left != right:
            return left.lexicographicallyPrecedes(right) ? -1 : 1
        case (.fileExtension(let left), .fileExtension(let right)) where left != right:
            if left.count != right.count { return left.count > right.count ? -1 : 1 }
            return left.lexicographicallyPrecedes(right) ? -1 : 1
        default: return 0
        }
    }
}

extension Route {
    package var specificity: Specificity {
        Specificity(pattern: pattern, matchers: matchers.count, namesMethod: !methods.isEmpty)
    }
}

extension SettingsBlock {
    package var specificity: Specificity {
        Specificity(pattern: pattern, matchers: matchers.count, namesMethod: !methods.isEmpty)
    }
}

extension Site {
    /// Indices into `routes`, in the order in which they are tried.
    package var routesBySpecificity: [Int] {
        Self.order(routes.map(\.specificity))
    }

    /// Indices into `settingsBlocks` from the least specific to the most specific one: the order in which those that
    /// cover a request are merged over the site's settings. The route's own settings come last. Of equal ones the
    /// first of the file comes last, as it is the one that wins among routes.
    package var blocksBySpecificity: [Int] {
        Self.order(settingsBlocks.map(\.specificity)).reversed()
    }

    private static func order(_ keys: [Specificity]) -> [Int] {
        keys.indices.sorted { (keys[$0], $0) < (keys[$1], $1) }
    }
}
