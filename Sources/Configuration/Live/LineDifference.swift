/// The lines of two texts side by side, those that are the same once.
enum LineDifference {
    /// Unchanged lines that are shown before and after a change.
    private static let context = 3
    /// Past so many pairs of lines the whole middle counts as changed.
    private static let pairsMax = 4_000_000

    private enum Line {
        case same([UInt8], old: Int, new: Int)
        case gone([UInt8], old: Int, new: Int)
        case fresh([UInt8], old: Int, new: Int)
    }

    /// Compared octet by octet, since texts that look the same may not be.
    static func lines(_ old: [[UInt8]], _ new: [[UInt8]]) -> [String] {
        let all = sideBySide(old, new)
        var shown = [Bool](repeating: false, count: all.count)
        for (index, line) in all.enumerated() {
            if case .same = line { continue }
            for near in max(0, index - context)...min(all.count - 1, index + context) { shown[near] = true }
        }
        var result: [String] = []
        for (index, line) in all.enumerated() where shown[index] {
            let isFirst = index == 0 || !shown[index - 1]
            switch line {
            case .same(let text, let old, let new):
                if isFirst { result.append("@@ -\(old + 1) +\(new + 1) @@") }
                result.append(" " + printed(text))
            case .gone(let text, let old, let new):
                if isFirst { result.append("@@ -\(old + 1) +\(new + 1) @@") }
                result.append("-" + printed(text))
            case .fresh(let text, let old, let new):
                if isFirst { result.append("@@ -\(old + 1) +\(new + 1) @@") }
                result.append("+" + printed(text))
            }
        }
        return result
    }

    /// With pictures in the place of what would drive a terminal.
    static func printed(_ line: [UInt8]) -> String {
        Shown.text(String(decoding: line, as: UTF8.self), keepsTabs: true)
    }

    private static func sideBySide(_ old: [[UInt8]], _ new: [[UInt8]]) -> [Line] {
        let head = zip(old, new).prefix { $0 == $1 }.count
        let tail = zip(old.dropFirst(head).reversed(), new.dropFirst(head).reversed()).prefix { $0 == $1 }
            .count
        var result: [Line] = (0..<head).map { .same(old[$0], old: $0, new: $0) }
        let (oldEnd, newEnd) = (old.count - tail, new.count - tail)
        result += middle(old, new, head..<oldEnd, head..<newEnd)
        result += (0..<tail).map { .same(old[oldEnd + $0], old: oldEnd + $0, new: newEnd + $0) }
        return result
    }

    /// By the longest common subsequence.
    private static func middle(_ old: [[UInt8]], _ new: [[UInt8]], _ left: Range<Int>, _ right: Range<Int>)
        -> [Line]
    {
        guard left.count * right.count <= pairsMax else {
            return left.map { .gone(old[$0], old: $0, new: right.lowerBound) }
                + right.map { .fresh(new[$0], old: left.upperBound, new: $0) }
        }
        let width = right.count + 1
        var lengths = [Int32](repeating: 0, count: (left.count + 1) * width)
        for i in stride(from: left.count - 1, through: 0, by: -1) {
            for j in stride(from: right.count - 1, through: 0, by: -1) {
                lengths[i * width + j] =
                    old[left.lowerBound + i] == new[right.lowerBound + j]
                    ? lengths[(i + 1) * width + j + 1] + 1
                    : max(lengths[(i + 1) * width + j], lengths[i * width + j + 1])
            }
        }
        var result: [Line] = []
        var (i, j) = (0, 0)
        while i < left.count || j < right.count {
            let (a, b) = (left.lowerBound + i, right.lowerBound + j)
            if i < left.count, j < right.count, old[a] == new[b] {
                result.append(.same(old[a], old: a, new: b))
                (i, j) = (i + 1, j + 1)
            } else if i < left.count,
                j == right.count || lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]
            {
                result.append(.gone(old[a], old: a, new: b))
                i += 1
            } else {
                result.append(.fresh(new[b], old: a, new: b))
                j += 1
            }
        }
        return result
    }
}
