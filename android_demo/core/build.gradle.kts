import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.kotlin.jvm)
}

// Not a toolchain: that would have to be the JDK 17 itself, and Android Studio brings a newer one.
java {
    sourceCompatibility = JavaVersion.VERSION_17
    targetCompatibility = JavaVersion.VERSION_17
}

kotlin {
    explicitApi()
    compilerOptions {
        allWarningsAsErrors = true
        jvmTarget = JvmTarget.JVM_17
        // What a newer JDK deprecates would be an error.
        freeCompilerArgs.add("-Xjdk-release=17")
    }
}

dependencies {
    testImplementation(libs.kotlin.test.junit)
}

tasks.test {
    // The frames and models that `make android` writes are compared with.
    val repository = rootDir.parentFile
    systemProperty("project", repository.path)
    inputs.files(fileTree(repository.resolve("build/android")) { include("frames/*", "models/*") })
}
