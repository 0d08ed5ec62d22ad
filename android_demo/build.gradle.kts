// With both here, the app too is compiled by this Kotlin, not by the older one that AGP brings along.
plugins {
    alias(libs.plugins.android.application) apply false
    alias(libs.plugins.kotlin.jvm) apply false
}
