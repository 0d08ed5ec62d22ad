package org.kerasfastvit.demo.core

/**
 * The best classes, best first; equal scores in the order of their labels, as
 * `keras_fastvit.decode_predictions` ranks them. A NaN is never among them.
 *
 * @param most Most classes that will be asked for.
 */
public class TopClasses(
    most: Int,
) {
    /** How many there are: fewer than asked for where too few reach the threshold. */
    public var count: Int = 0
        private set

    private val labels = IntArray(most)
    private val scores = FloatArray(most)

    /** Label of the class on place [rank], from 0. */
    public fun label(rank: Int): Int {
        expect(rank in 0 until count, { "a rank in 0 until $count" }, { "$rank" })
        return labels[rank]
    }

    /** Score of the class on place [rank], from 0. */
    public fun score(rank: Int): Float {
        expect(rank in 0 until count, { "a rank in 0 until $count" }, { "$rank" })
        return scores[rank]
    }

    /**
     * Ranks [values].
     *
     * @param wanted How many classes, 1 up to the most.
     * @param threshold Classes with a lower score are left out.
     */
    public fun rank(
        values: FloatArray,
        wanted: Int,
        threshold: Float,
    ) {
        expect(wanted in 1..labels.size, { "1 to ${labels.size} classes" }, { "$wanted" })
        count = 0
        for (label in values.indices) {
            val score = values[label]
            // NaN is not at least anything.
            if (!(score >= threshold)) continue
            var place = count
            while (place > 0 && scores[place - 1] < score) place--
            if (place == wanted) continue
            if (count < wanted) count++
            for (i in count - 1 downTo place + 1) {
                labels[i] = labels[i - 1]
                scores[i] = scores[i - 1]
            }
            labels[place] = label
            scores[place] = score
        }
    }
}
