/// What a timer tells when its deadline has passed.
package protocol TimerTarget: AnyObject {
    /// The deadline has passed; `now` is the worker's clock in milliseconds.
    func deadlineReached(now: Int64)
}

/// One deadline of one owner, cheap to move later: the heap keeps the old time, and the timer goes back in when
/// that comes and the deadline is not yet reached.
package final class Timer {
    /// The deadline in milliseconds of the worker's clock; `Int64.max` for none. Set by `Timers` alone.
    @exclusivity(unchecked)
    fileprivate(set) package var deadline = Int64.max
    @exclusivity(unchecked)
    fileprivate var heapTime = Int64.max
    @exclusivity(unchecked)
    fileprivate var heapIndex = -1
    /// Whom the timer tells; it owns the timer and cancels it before it goes.
    @exclusivity(unchecked)
    package unowned(unsafe) var target: (any TimerTarget)?

    /// - Parameter target: nil where it sets itself later, before the timer is armed.
    package init(target: (any TimerTarget)? = nil) {
        self.target = target
    }

    deinit { precondition(heapIndex < 0, "a timer was freed while armed") }
}

/// The deadlines of one worker: a heap with four children for each node, in which every timer knows its place.
package struct Timers: ~Copyable {
    private struct Node {
        var time: Int64
        var timer: Unmanaged<Timer>
    }

    private var nodes: [Node] = []

    package init() {}

    /// When the earliest timer wants to be looked at, in milliseconds; `Int64.max` for never.
    package var earliest: Int64 { nodes.isEmpty ? .max : nodes[0].time }

    package var count: Int { nodes.count }

    /// Sets the timer's deadline. Moving it later costs a store.
    package mutating func set(_ timer: Timer, to deadline: Int64) {
        timer.deadline = deadline
        if timer.heapIndex < 0 {
            if deadline != .max { insert(timer, at: deadline) }
        } else if deadline < timer.heapTime {
            timer.heapTime = deadline
            siftUp(timer.heapIndex, Node(time: deadline, timer: .passUnretained(timer)))
        }
    }

    /// Takes the timer out, before its owner goes.
    package mutating func cancel(_ timer: Timer) {
        timer.deadline = .max
        let hole = timer.heapIndex
        guard hole >= 0 else { return }
        timer.heapIndex = -1
        timer.heapTime = .max
        let last = nodes.removeLast()
        guard hole < nodes.count else { return }
        if hole > 0 && last.time < nodes[(hole - 1) / 4].time {
            siftUp(hole, last)
        } else {
            siftDown(hole, last)
        }
    }

    /// The next timer whose deadline is not after `now`, taken out; nil when there is none.
    package mutating func popExpired(now: Int64) -> (any TimerTarget)? {
        while let first = nodes.first, first.time <= now {
            let timer = first.timer.takeUnretainedValue()
            let deadline = timer.deadline
            removeFirst()
            if deadline <= now {
                timer.deadline = .max
                if let target = timer.target { return target }
                continue
            }
            if deadline != .max { insert(timer, at: deadline) }
        }
        return nil
    }

    /// Every child is no earlier than its parent and every timer knows its place; for tests.
    package func checkInvariants() {
        for index in nodes.indices {
            let timer = nodes[index].timer.takeUnretainedValue()
            precondition(timer.heapIndex == index && timer.heapTime == nodes[index].time)
            precondition(timer.deadline >= timer.heapTime)
            precondition(index == 0 || nodes[(index - 1) / 4].time <= nodes[index].time)
        }
    }

    private mutating func insert(_ timer: Timer, at time: Int64) {
        timer.heapTime = time
        let node = Node(time: time, timer: .passUnretained(timer))
        nodes.append(node)
        siftUp(nodes.count - 1, node)
    }

    private mutating func removeFirst() {
        let timer = nodes[0].timer.takeUnretainedValue()
        timer.heapIndex = -1
        timer.heapTime = .max
        let last = nodes.removeLast()
        if !nodes.isEmpty { siftDown(0, last) }
    }

    private mutating func siftUp(_ start: Int, _ node: Node) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 4
            if nodes[parent].time <= node.time { break }
            place(nodes[parent], at: index)
            index = parent
        }
        place(node, at: index)
    }

    private mutating func siftDown(_ start: Int, _ node: Node) {
        var index = start
        while true {
            let firstChild = index * 4 + 1
            if firstChild >= nodes.count { break }
            var least = firstChild
            for child in firstChild..<min(firstChild + 4, nodes.count)
            where nodes[child].time < nodes[least].time {
                least = child
            }
            if nodes[least].time >= node.time { break }
            place(nodes[least], at: index)
            index = least
        }
        place(node, at: index)
    }

    private mutating func place(_ node: Node, at index: Int) {
        nodes[index] = node
        node.timer._withUnsafeGuaranteedRef { $0.heapIndex = index }
    }
}
