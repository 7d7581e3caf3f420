internal import ChimeraBytes
internal import ChimeraConfiguration

/// What a walk through a trie tells of the patterns that match a path.
protocol RouteTrieVisitor {
    /// A pattern matches; `item` is what was entered under it. The most specific one comes first.
    ///
    /// - Returns: whether the walk ends here.
    mutating func visit(_ item: Int) -> Bool

    /// The walk enters a node: what its cost is counted in.
    mutating func entered()
}

extension RouteTrieVisitor {
    mutating func entered() {}
}

/// Path patterns as a tree of segments, so that only those are looked at that share the path's beginning.
///
/// ```
/// /api/{id}  /api/*  /*.php     root ─ "api" ─ {} ─ ended: /api/{id}
///                                 │      └ rest: /api/*
///                                 └ "*.php" ─ ended: /*.php
/// ```
/// The walk goes depth first and takes literals, then `*.ext` from the longest, then captures, then what ends
/// here, then `*`: that is the order of `Specificity`, so the first item that it comes to is the most
/// specific one. All nodes, keys and items are flat memory that the trie owns.
struct RouteTrie: ~Copyable {
    fileprivate struct Node {
        /// The node behind `{name}`, or -1.
        var capture: Int32 = -1
        var hasLiterals = false
        var hasExtensions = false
        /// Where the items stand whose pattern ends here.
        var endedStart: UInt32 = 0
        var endedCount: UInt32 = 0
        /// Where the items stand whose pattern goes on with `*`.
        var restStart: UInt32 = 0
        var restCount: UInt32 = 0
    }

    fileprivate enum Edge: UInt8 { case literal, fileExtension }

    fileprivate struct Slot {
        /// 0: the slot is free.
        var hash: UInt32 = 0
        var from: UInt32 = 0
        var to: UInt32 = 0
        var key = Slice.empty
        var edge = Edge.literal
    }

    private let nodes: UnsafeMutablePointer<Node>
    private let slots: UnsafeMutablePointer<Slot>
    private let mask: Int
    private let keys: UnsafeMutablePointer<UInt8>
    private let items: UnsafeMutablePointer<UInt32>
    /// The longest extension, by which the search for one is bounded.
    private let extensionBytesMax: Int
    /// There is no pattern.
    let isEmpty: Bool

    /// - Parameter patterns: with their items, those of equal patterns in the order in which they are to be
    ///   visited.
    init(_ patterns: [(pattern: PathPattern, item: Int)]) {
        var builder = Builder()
        for (pattern, item) in patterns { builder.add(pattern, item) }
        let flat = builder.flattened()
        nodes = .allocate(capacity: flat.nodes.count)
        nodes.initialize(from: flat.nodes, count: flat.nodes.count)
        slots = .allocate(capacity: flat.slots.count)
        slots.initialize(from: flat.slots, count: flat.slots.count)
        mask = flat.slots.count - 1
        keys = .allocate(capacity: max(1, flat.keys.count))
        keys.initialize(from: flat.keys, count: flat.keys.count)
        items = .allocate(capacity: max(1, flat.items.count))
        items.initialize(from: flat.items, count: flat.items.count)
        extensionBytesMax = flat.extensionBytesMax
        isEmpty = patterns.isEmpty
    }

    deinit {
        nodes.deallocate()
        slots.deallocate()
        keys.deallocate()
        items.deallocate()
    }

    /// Visits the items of all patterns that match `path`, the most specific first, until the visitor ends
    /// it.
    ///
    /// - Parameter path: in its matched form; a slash at its end does not count.
    func visit<Visitor: RouteTrieVisitor>(_ path: Span<UInt8>, _ visitor: inout Visitor) {
        _ = visit(0, path, from: 1, &visitor)
    }

    /// Goes on at a node with the segment of `path` that begins at `start`.
    private func visit<Visitor: RouteTrieVisitor>(
        _ index: Int, _ path: Span<UInt8>, from start: Int, _ visitor: inout Visitor
    ) -> Bool {
        visitor.entered()
        let node = nodes[index]
        if start < path.count {
            let end = path.firstIndex(of: UInt8(ascii: "/"), from: start) ?? path.count
            if node.hasLiterals, let child = find(.literal, index, path.extracting(start..<end)),
                visit(child, path, from: end + 1, &visitor)
            {
                return true
            }
            if node.hasExtensions, visitExtensions(index, path, &visitor) { return true }
            if node.capture >= 0, visit(Int(node.capture), path, from: end + 1, &visitor) { return true }
        } else if visitItems(node.endedStart, node.endedCount, &visitor) {
            return true
        }
        return visitItems(node.restStart, node.restCount, &visitor)
    }

    private func visitItems<Visitor: RouteTrieVisitor>(
        _ start: UInt32, _ count: UInt32, _ visitor: inout Visitor
    ) -> Bool {
        for place in Int(start)..<Int(start + count) {
            if visitor.visit(Int(items[place])) { return true }
        }
        return false
    }

    /// Tries every dot of the last segment that can begin an extension, from the left: the longest comes
    /// first.
    private func visitExtensions<Visitor: RouteTrieVisitor>(
        _ index: Int, _ path: Span<UInt8>, _ visitor: inout Visitor
    ) -> Bool {
        let end = path[path.count - 1] == UInt8(ascii: "/") ? path.count - 1 : path.count
        var first = max(0, end - extensionBytesMax - 1)
        for place in first..<end where path[place] == UInt8(ascii: "/") { first = place + 1 }
        for place in first..<end where path[place] == UInt8(ascii: ".") {
            if let child = find(.fileExtension, index, path.extracting((place + 1)..<end)) {
                visitor.entered()
                if visitItems(nodes[child].endedStart, nodes[child].endedCount, &visitor) { return true }
            }
        }
        return false
    }

    private func find(_ edge: Edge, _ node: Int, _ key: Span<UInt8>) -> Int? {
        let hash = RouteTrie.hash(edge, node, key)
        var place = Int(hash >> 1) & mask
        while slots[place].hash != 0 {
            let slot = slots[place]
            if slot.hash == hash, slot.from == UInt32(truncatingIfNeeded: node), slot.edge == edge,
                equals(slot.key, key)
            {
                return Int(slot.to)
            }
            place = (place + 1) & mask
        }
        return nil
    }

    private func equals(_ key: Slice, _ bytes: Span<UInt8>) -> Bool {
        guard Int(key.count) == bytes.count else { return false }
        // Sound: the key lies within the trie's memory, and the index stays below its length.
        let stored = keys + Int(key.start)
        for index in 0..<bytes.count where stored[index] != bytes[index] { return false }
        return true
    }

    /// Never 0, which marks a free slot.
    fileprivate static func hash(_ edge: Edge, _ node: Int, _ key: Span<UInt8>) -> UInt32 {
        var state = UInt64(truncatingIfNeeded: node &* 2 &+ Int(edge.rawValue)) &* 0x9E37_79B9_7F4A_7C15
        for index in 0..<key.count { state = (state ^ UInt64(key[index])) &* 0x0000_0100_0000_01B3 }
        state = (state ^ (state >> 32)) &* 0xD6E8_FEB8_6659_FD93
        return UInt32(truncatingIfNeeded: state >> 32) | 1
    }
}

extension RouteTrie {
    fileprivate struct Builder {
        private struct Branch {
            var literals: [[UInt8]: Int] = [:]
            var extensions: [[UInt8]: Int] = [:]
            var capture: Int?
            var ended: [Int] = []
            var rest: [Int] = []
        }

        struct Flat {
            var nodes: [Node] = []
            var slots: [Slot] = []
            var keys: [UInt8] = []
            var items: [UInt32] = []
            var extensionBytesMax = 0
        }

        private var branches = [Branch()]

        mutating func add(_ pattern: PathPattern, _ item: Int) {
            var current = 0
            for segment in pattern.segments {
                switch segment {
                case .literal(let bytes):
                    current = child(branches[current].literals[bytes]) {
                        $0[current].literals[bytes] = $1
                    }
                case .fileExtension(let bytes):
                    current = child(branches[current].extensions[bytes]) {
                        $0[current].extensions[bytes] = $1
                    }
                case .capture: current = child(branches[current].capture) { $0[current].capture = $1 }
                case .rest:
                    branches[current].rest.append(item)
                    return
                }
            }
            branches[current].ended.append(item)
        }

        private mutating func child(_ known: Int?, _ link: (inout [Branch], Int) -> Void) -> Int {
            if let known { return known }
            branches.append(Branch())
            link(&branches, branches.count - 1)
            return branches.count - 1
        }

        func flattened() -> Flat {
            var flat = Flat()
            let edges = branches.reduce(0) { $0 + $1.literals.count + $1.extensions.count }
            var capacity = 4
            while capacity < edges * 3 { capacity *= 2 }
            flat.slots = Array(repeating: Slot(), count: capacity)
            for (index, branch) in branches.enumerated() {
                flat.nodes.append(node(branch, &flat))
                for (key, child) in branch.literals { insert(.literal, index, key, child, &flat) }
                for (key, child) in branch.extensions { insert(.fileExtension, index, key, child, &flat) }
                flat.extensionBytesMax = max(
                    flat.extensionBytesMax, branch.extensions.keys.map(\.count).max() ?? 0)
            }
            return flat
        }

        private func node(_ branch: Branch, _ flat: inout Flat) -> Node {
            var node = Node()
            node.capture = branch.capture.map(Int32.init) ?? -1
            node.hasLiterals = !branch.literals.isEmpty
            node.hasExtensions = !branch.extensions.isEmpty
            (node.endedStart, node.endedCount) = (UInt32(flat.items.count), UInt32(branch.ended.count))
            flat.items += branch.ended.map(UInt32.init)
            (node.restStart, node.restCount) = (UInt32(flat.items.count), UInt32(branch.rest.count))
            flat.items += branch.rest.map(UInt32.init)
            return node
        }

        private func insert(_ edge: Edge, _ from: Int, _ key: [UInt8], _ to: Int, _ flat: inout Flat) {
            let hash = RouteTrie.hash(edge, from, key.span)
            var place = Int(hash >> 1) & (flat.slots.count - 1)
            while flat.slots[place].hash != 0 { place = (place + 1) & (flat.slots.count - 1) }
            let slice = Slice(start: flat.keys.count, count: key.count)
            flat.keys += key
            flat.slots[place] = Slot(hash: hash, from: UInt32(from), to: UInt32(to), key: slice, edge: edge)
        }
    }
}
