@file:Suppress("unused")

package android.os

/** API 29: the thermal status. */
class PowerManager private constructor() {
    fun getCurrentThermalStatus(): Int = throw UnsupportedOperationException("compile-only")
}
