/// The run queue of a worker: a ring that grows and never shrinks.
struct JobRing: ~Copyable {
    private var slots: UnsafeMutablePointer<UnownedJob>
    private var capacity = 64
    private var head = 0
    private(set) var count = 0

    init() { slots = .allocate(capacity: 64) }

    deinit { slots.deallocate() }

    var isEmpty: Bool { count == 0 }

    mutating func append(_ job: UnownedJob) {
        if count == capacity { grow() }
        (slots + ((head + count) & (capacity - 1))).initialize(to: job)
        count += 1
    }

    mutating func removeFirst() -> UnownedJob {
        precondition(count > 0)
        let job = slots[head]
        head = (head + 1) & (capacity - 1)
        count -= 1
        return job
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<UnownedJob>.allocate(capacity: capacity * 2)
        for index in 0..<count {
            (larger + index).initialize(to: slots[(head + index) & (capacity - 1)])
        }
        slots.deallocate()
        slots = larger
        head = 0
        capacity *= 2
    }
}
